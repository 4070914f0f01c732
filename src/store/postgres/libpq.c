/* SPDX-License-Identifier: MIT */

#include "store/postgres/libpq.h"

#include "sys/library.h"

#define SONAME "libpq.so.5"

Libpq libpq;

int libpq_load(void) {
        static const LibrarySymbol symbols[] = {
#define LIBPQ_SYMBOL(name) {#name, &libpq.call_##name},
                        LIBPQ_FUNCTIONS(LIBPQ_SYMBOL)
#undef LIBPQ_SYMBOL
        };

        return library_load(SONAME, symbols, ELEMENTSOF(symbols));
}
