/* Second tier: in which of its passes a network, or a layer of it, runs. */
#ifndef MOCO_SYS_MODE_H
#define MOCO_SYS_MODE_H

enum {
    MOCO_MODE_TRAIN = 0,     /* batch statistics, keep what backward needs */
    MOCO_MODE_TRAIN_KEY = 1, /* batch statistics, no backward will follow: the momentum encoder */
    MOCO_MODE_EVALUATE = 2   /* running statistics, change nothing; a pending backward must stay valid */
};

#endif
