/* SPDX-License-Identifier: MIT */

/* Prints the table of options, one a line: section, key, default, reloadable; tabs between. Built
 * once for each table: LIST_ALERTD is that of shortener-alertd. */

#include <stdio.h>

#ifdef LIST_ALERTD
# include "alertd/options.h"
# define options_table alert_options_table
# define n_options     n_alert_options
#else
# include "config/options.h"
#endif

int main(void) {
        for (size_t i = 0; i < n_options; i++)
                printf("%s\t%s\t%s\t%s\n", options_table[i].section, options_table[i].key,
                       options_table[i].initial, options_table[i].reloadable ? "yes" : "no");
        return 0;
}
