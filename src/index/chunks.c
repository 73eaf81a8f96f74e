/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of the arrays that grow without moving. */
#include "index/chunks.h"

#include <string.h>

#include "base/memory.h"

void chunks_init(struct chunks *chunks, uint32_t element_bytes) {
    memset(chunks, 0, sizeof *chunks);
    chunks->element_bytes = element_bytes;
}

void chunks_init_mapped(struct chunks *chunks, uint32_t element_bytes, const void *array, uint64_t count) {
    chunks_init(chunks, element_bytes);
    chunks->mapped = true;
    chunks->room = count;
    for (unsigned k = 0; k < CHUNKS_MAX && chunk_start(k) < count; k++) {
        /* Never stored through: `mapped` arrays have no writer. */
        char *start = (char *)(uintptr_t)array + chunk_start(k) * element_bytes;
        atomic_init(&chunks->chunk[k], start);
    }
}

void chunks_deinit(struct chunks *chunks) {
    for (unsigned k = 0; k < CHUNKS_MAX && !chunks->mapped; k++)
        memory_free(atomic_load_explicit(&chunks->chunk[k], memory_order_relaxed));
}

bool chunks_reserve(struct chunks *chunks, uint64_t count) {
    while (chunks->room < count) {
        unsigned k = 0;
        while (atomic_load_explicit(&chunks->chunk[k], memory_order_relaxed))
            if (++k == CHUNKS_MAX)
                return false;
        size_t bytes = (size_t)chunk_size(k) * chunks->element_bytes;
        void *memory = memory_allocate_zero(bytes);
        if (!memory)
            return false;
        atomic_store_explicit(&chunks->chunk[k], memory, memory_order_release);
        chunks->room = chunk_start(k) + chunk_size(k);
        chunks->memory_bytes += bytes;
    }
    return true;
}
