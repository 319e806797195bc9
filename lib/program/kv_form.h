/* Keys and values of a page in a form that is no backend's: the first n positions of every stream
 * of the group in the spec's order, [stream][head][keys, their scales, values, their scales], each
 * as [position][dim or scale], elements as the KV type stores them; nothing between. */
#ifndef PROGRAM_KV_FORM_H
#define PROGRAM_KV_FORM_H

#include "program/kv_layout.h"

/* page [page_bytes of the group]; form [n * position_bytes of the group], not aligned; n up to
 * KV_PAGE_TOKENS. */
void kv_form_pack(const struct kv_layout *layout, int group, const void *page, size_t n,
                  void *form);
/* The page's other positions become 0. */
void kv_form_unpack(const struct kv_layout *layout, int group, const void *form, size_t n,
                    void *page);

#endif
