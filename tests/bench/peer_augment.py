"""Random views as the official recipes make them: torchvision on Pillow images, of one picture, one thread."""

import argparse
import random

import peer_protocol

parser = argparse.ArgumentParser()
parser.add_argument("--recipe", default="v2", choices=["v1", "v2", "v3", "cifar"])
parser.add_argument("--height", type=int, default=375)
parser.add_argument("--width", type=int, default=500)
parser.add_argument("--views", type=int, default=200)
parser.add_argument("--threads", type=int, default=1)
options = parser.parse_args()

torch = peer_protocol.import_torch(options.threads)
try:
    import numpy
    from PIL import Image, ImageFilter
    from torchvision import transforms as T
except ImportError as error:
    peer_protocol.absent(error)


class GaussianBlur:
    def __call__(self, image):
        return image.filter(ImageFilter.GaussianBlur(radius=random.uniform(0.1, 2.0)))


def jitter(saturation, hue):
    return T.RandomApply([T.ColorJitter(0.4, 0.4, saturation, hue)], p=0.8)


def blur(p):
    return T.RandomApply([GaussianBlur()], p=p)


grey, flip, tensor = T.RandomGrayscale(p=0.2), T.RandomHorizontalFlip(), T.ToTensor()
normalize = T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
crop = T.RandomResizedCrop(224, scale=(0.2, 1.0))
v3_crop = T.RandomResizedCrop(224, scale=(0.08, 1.0))
cifar_crop = T.RandomResizedCrop(32)
cifar_normalize = T.Normalize([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010])
recipes = {  # the query's view and the key's
    "v1": [[crop, grey, T.ColorJitter(0.4, 0.4, 0.4, 0.4), flip, tensor, normalize]] * 2,
    "v2": [[crop, jitter(0.4, 0.1), grey, blur(0.5), flip, tensor, normalize]] * 2,
    "v3": [
        [v3_crop, jitter(0.2, 0.1), grey, blur(1.0), flip, tensor, normalize],
        [v3_crop, jitter(0.2, 0.1), grey, blur(0.1), T.RandomSolarize(128, 0.2), flip, tensor, normalize],
    ],
    "cifar": [[cifar_crop, flip, jitter(0.4, 0.1), grey, tensor, cifar_normalize]] * 2,
}
views = [T.Compose(parts) for parts in recipes[options.recipe]]
random.seed(0)
torch.manual_seed(0)
y, x = numpy.mgrid[0 : options.height, 0 : options.width]
shades = numpy.stack([x * 255 // options.width, y * 255 // options.height, (x + y) % 256], -1)
picture = Image.fromarray(shades.astype(numpy.uint8))


def run():
    for i in range(options.views):
        views[i % 2](picture)


run()
peer_protocol.serve(run, {})
