/* A number in all lanes of a vector. `vector * number` says the same, but where arithmetic is wider than its type (i386's
 * x87, FLT_EVAL_METHOD 2) C makes the number a long double first, which goes into no vector of floats.
 */
#ifndef MOCO_LANES_H
#define MOCO_LANES_H

#define MOCO_LANES_4(x)  (x), (x), (x), (x)
#define MOCO_LANES_8(x)  MOCO_LANES_4(x), MOCO_LANES_4(x)
#define MOCO_LANES_16(x) MOCO_LANES_8(x), MOCO_LANES_8(x)

/* The values of a vector's braces: (vector){MOCO_LANES(8, x)}. The count is a number or a macro that is one. */
#define MOCO_LANES(count, x)  MOCO_LANES_(count, x)
#define MOCO_LANES_(count, x) MOCO_LANES_##count(x)

#endif
