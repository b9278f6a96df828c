/* Tables that a host brings: checked, and filled up to this library's version. */
#ifndef MOCO_BACKEND_TABLE_H
#define MOCO_BACKEND_TABLE_H

#include <moco/sys/backend_v1.h>

/* Reads the host's table number `index` into `out`, whose members beyond the host's struct are NULL. Of a version 1 table,
 * *version_1 is the table and layers are created by moco_layer_create_version_1; else it is NULL. */
moco_status moco_backend_table_read(moco_backend_ops *out, const moco_backend_ops_v1 **version_1,
                                    const moco_backend_ops *table, int32_t index);

/* Refuses a table that can't be a chain's last, with the name of the first member that it lacks. */
moco_status moco_backend_table_check_complete(const moco_backend_ops *table);

/* layer_create of a version 1 table. The layer goes to the layer members that moco_backend_table_read has put in. */
moco_status moco_layer_create_version_1(const moco_backend_ops_v1 *table, void *self, moco_context *context,
                                        const moco_layer_desc *desc, moco_layer **layer, moco_layer_info *info);
/* What moco_backend_table_read puts in place of the table's own. */
void moco_layer_destroy_version_1(void *self, moco_layer *layer);
moco_status moco_layer_forward_version_1(void *self, moco_layer *layer, const moco_layer_args *args);
moco_status moco_layer_backward_version_1(void *self, moco_layer *layer, const moco_layer_args *args);

#endif
