/* SPDX-License-Identifier: MIT */

/* Prints the table of options, one a line: section, key, default, reloadable; tabs between. */

#include <stdio.h>

#include "config/options.h"

int main(void) {
        for (size_t i = 0; i < n_options; i++)
                printf("%s\t%s\t%s\t%s\n", options_table[i].section, options_table[i].key,
                       options_table[i].initial, options_table[i].reloadable ? "yes" : "no");
        return 0;
}
