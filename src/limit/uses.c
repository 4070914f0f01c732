/* SPDX-License-Identifier: MIT */

/* An array of uses and an open-addressing index of it, twice as large and keyed, so that clients
 * cannot choose where they lie. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "basic/hash.h"
#include "limit/uses.h"

#define INDEX_SIZE (2 * LIMIT_USES_MAX) /* a power of two */
#define FORMAT     1u                   /* the first byte of each use */

struct LimitUses {
        HashKey key;
        size_t n;
        uint16_t index[INDEX_SIZE]; /* 1 + place in uses; 0: free */
        LimitUse uses[LIMIT_USES_MAX];
};

_Static_assert(LIMIT_USES_BYTES == 2 + sizeof(LimitClient) + sizeof(uint32_t), "the format");

int limit_uses_new(LimitUses **ret) {
        LimitUses *uses = calloc(1, sizeof *uses);

        if (!uses)
                return -ENOMEM;
        uses->key = hash_key_random();
        *ret = uses;
        return 0;
}

LimitUses *limit_uses_free(LimitUses *uses) {
        free(uses);
        return NULL;
}

/* Its place in the index, or the free one where it belongs. */
static uint16_t *find(LimitUses *uses, LimitBudget budget, const LimitClient *client) {
        uint64_t hash = hash_keyed(&uses->key,
                                   slice_make((const char *)client->bytes, sizeof client->bytes));
        size_t i = (size_t)(hash + budget) % INDEX_SIZE;

        for (; uses->index[i] != 0; i = (i + 1) % INDEX_SIZE) {
                const LimitUse *use = uses->uses + uses->index[i] - 1;

                if (use->budget == budget &&
                    memcmp(use->client.bytes, client->bytes, sizeof client->bytes) == 0)
                        break;
        }
        return uses->index + i;
}

bool limit_uses_note(LimitUses *uses, LimitBudget budget, const LimitClient *client) {
        uint16_t *place = find(uses, budget, client);
        LimitUse *use;

        if (*place == 0) {
                if (uses->n == LIMIT_USES_MAX)
                        return false;
                uses->uses[uses->n] = (LimitUse){.budget = budget, .client = *client};
                *place = (uint16_t)++uses->n;
        }
        use = uses->uses + *place - 1;
        if (use->n == LIMIT_USE_N_MAX)
                return false;
        use->n++;
        return true;
}

size_t limit_uses_length(const LimitUses *uses) {
        return uses->n;
}

void limit_uses_take(LimitUses *uses, Buffer *out) {
        for (size_t i = 0; i < uses->n; i++) {
                const LimitUse *use = uses->uses + i;
                unsigned char bytes[LIMIT_USES_BYTES] = {FORMAT, (unsigned char)use->budget};
                unsigned char *number = bytes + 2 + sizeof use->client.bytes;

                memcpy(bytes + 2, use->client.bytes, sizeof use->client.bytes);
                for (unsigned byte = 0; byte < sizeof use->n; byte++)
                        number[byte] = (unsigned char)(use->n >> 8 * byte);
                buffer_append(out, slice_make((const char *)bytes, sizeof bytes));
        }
        memset(uses->index, 0, sizeof uses->index);
        uses->n = 0;
}

int limit_use_read(Slice *bytes, LimitUse *ret) {
        unsigned char read[LIMIT_USES_BYTES];
        LimitUse use = {.n = 0};

        if (bytes->len == 0)
                return 0;
        if (bytes->len < sizeof read)
                return -EBADMSG;
        memcpy(read, bytes->data, sizeof read);
        if (read[0] != FORMAT || read[1] >= LIMIT_BUDGETS)
                return -EBADMSG;
        use.budget = (LimitBudget)read[1];
        memcpy(use.client.bytes, read + 2, sizeof use.client.bytes);
        for (unsigned byte = 0; byte < sizeof use.n; byte++)
                use.n |= (uint32_t)read[2 + sizeof use.client.bytes + byte] << 8 * byte;
        if (use.n == 0 || use.n > LIMIT_USE_N_MAX)
                return -EBADMSG;
        *bytes = slice_from(*bytes, sizeof read);
        *ret = use;
        return 1;
}
