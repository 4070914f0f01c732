/* SPDX-License-Identifier: MIT */

/*
 * Lookups of codes a second on one session: so many codes a query, as the resolver asks, or one
 * query for each.
 *
 * usage: bench-misses STORE-URL CODES-FILE BATCH SECONDS
 *
 * The file has a code a line. Prints the lookups a second.
 */

#include <stdio.h>
#include <stdlib.h>

#include "basic/clock.h"
#include "basic/number.h"
#include "store/store.h"

#define CODES_MAX 1000000u
#define BATCH_MAX 512u
#define LINE_SIZE 128

static size_t read_codes(const char *path, Slice *ret, Arena *arena) {
        FILE *file = fopen(path, "re");
        char line[LINE_SIZE];
        size_t n = 0;

        CHECK(file);
        while (n < CODES_MAX && fgets(line, sizeof(line), file)) {
                ret[n] = arena_dup(arena, slice_trim(slice_make(line, strcspn(line, "\n"))));
                CHECK(ret[n++].data);
        }
        (void)fclose(file);
        return n;
}

/* Lookups until the time is over. */
static uint64_t look_up(StoreSession *session, const Slice *codes, size_t n_codes, size_t batch,
                        uint64_t end_usec) {
        Link links[BATCH_MAX];
        uint64_t n = 0;
        size_t at = 0;
        Arena arena;

        arena_init(&arena, 0);
        while (clock_monotonic_usec() < end_usec) {
                for (size_t i = 0; i < batch; i++) {
                        links[i] = (Link){.code = codes[at]};
                        at = at + 1 == n_codes ? 0 : at + 1;
                }
                CHECK(store_urls_by_codes(session, &arena, links, batch) == 0);
                for (size_t i = 0; i < batch; i++)
                        CHECK(links[i].id > 0);
                n += batch;
                arena_reset(&arena);
        }
        arena_done(&arena);
        return n;
}

int main(int argc, char **argv) {
        const StoreOptions options = {.connect_usec = 10 * USEC_PER_SEC};
        _cleanup_(store_free_p) Store *store = NULL;
        _cleanup_(store_session_free_p) StoreSession *session = NULL;
        uint64_t batch, seconds, start_usec, n;
        size_t n_codes;
        Arena arena;
        Slice *codes;

        if (argc != 5 || number_parse_u64(slice_from_string(argv[3]), &batch) < 0 || batch == 0 ||
            batch > BATCH_MAX || number_parse_u64(slice_from_string(argv[4]), &seconds) < 0) {
                (void)fprintf(stderr, "usage: bench-misses STORE-URL CODES-FILE BATCH SECONDS\n");
                return 2;
        }
        arena_init(&arena, 0);
        codes = calloc(CODES_MAX, sizeof(*codes));
        CHECK(codes);
        n_codes = read_codes(argv[2], codes, &arena);
        CHECK(n_codes > 0 && store_new(argv[1], &options, &store) == 0);
        CHECK(store_session_new(store, NULL, &session) == 0);
        CHECK(store_ping(session) == 0);
        start_usec = clock_monotonic_usec();
        n = look_up(session, codes, n_codes, batch, start_usec + seconds * USEC_PER_SEC);
        (void)printf("%.0f\n",
                     (double)n * USEC_PER_SEC / (double)(clock_monotonic_usec() - start_usec));
        free(codes);
        arena_done(&arena);
        return 0;
}
