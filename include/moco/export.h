/* What every public header needs: linkage, and which symbols leave the shared library. */
#ifndef MOCO_EXPORT_H
#define MOCO_EXPORT_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define MOCO_API __attribute__((visibility("default")))
#else
#define MOCO_API
#endif

#ifdef __cplusplus
#define MOCO_BEGIN_DECLS extern "C" {
#define MOCO_END_DECLS   }
#else
#define MOCO_BEGIN_DECLS
#define MOCO_END_DECLS
#endif

#endif
