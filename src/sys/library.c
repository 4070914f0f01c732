/* SPDX-License-Identifier: MIT */

#include "sys/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

int library_load(const char *soname, const LibrarySymbol *symbols, size_t n) {
        void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

        if (!library)
                return -ELIBACC;
        for (size_t i = 0; i < n; i++) {
                void *symbol = dlsym(library, symbols[i].name);

                if (!symbol)
                        return -ELIBACC;
                /* A function's address in a pointer to an object: POSIX has it so, C has not. */
                memcpy(symbols[i].place, &symbol, sizeof(symbol));
        }
        return 0;
}
