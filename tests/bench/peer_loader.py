"""Two random views of each photo in class folders, in torchvision: Pillow decodes, transforms v2, a DataLoader with
worker processes. A run is --images images in a new random order; the workers stay. "get check" is a mean of a batch."""

import argparse
import random

import peer_protocol

parser = argparse.ArgumentParser()
parser.add_argument("--folder", required=True)
parser.add_argument("--recipe", choices=["v2", "cifar"], required=True)
parser.add_argument("--size", type=int, required=True)
parser.add_argument("--batch", type=int, required=True)
parser.add_argument("--images", type=int, required=True)
parser.add_argument("--threads", type=int, default=1)
options = parser.parse_args()

torch = peer_protocol.import_torch(1)
try:
    from PIL import ImageFilter
    from torchvision import datasets
    from torchvision.transforms import v2
except ImportError as error:
    peer_protocol.absent(error)


class PillowBlur:
    """The reference's GaussianBlur."""

    def __call__(self, image):
        return image.filter(ImageFilter.GaussianBlur(radius=random.uniform(0.1, 2.0)))


JITTER = v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8)
TO_TENSOR = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
RECIPES = {
    "v2": [
        v2.RandomResizedCrop(options.size, scale=(0.2, 1.0)),
        JITTER,
        v2.RandomGrayscale(0.2),
        v2.RandomApply([PillowBlur()], p=0.5),
        v2.RandomHorizontalFlip(),
        *TO_TENSOR,
        v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ],
    "cifar": [
        v2.RandomResizedCrop(options.size),
        v2.RandomHorizontalFlip(),
        JITTER,
        v2.RandomGrayscale(0.2),
        *TO_TENSOR,
        v2.Normalize([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
    ],
}
recipe = v2.Compose(RECIPES[options.recipe])
photos = datasets.ImageFolder(options.folder, transform=lambda image: [recipe(image), recipe(image)])
sampler = torch.utils.data.RandomSampler(photos, num_samples=min(options.images, len(photos)))
loader = torch.utils.data.DataLoader(
    photos,
    batch_size=options.batch,
    sampler=sampler,
    num_workers=options.threads,
    drop_last=True,
    persistent_workers=True,
)
means = []


def run():
    for (query, _), _ in loader:
        means.append(float(query[0, 0, 0, 0]))


run()  # starts the workers
peer_protocol.serve(run, {"check": lambda: sum(means) / len(means)})
