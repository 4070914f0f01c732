/* SPDX-License-Identifier: MIT */

/*
 * Rates, from text. The burst that comes by itself is small: whatever span of time one looks at, no
 * more than n and a twentieth of it get through, and a page that asks ten things at once still
 * does.
 */

#include <errno.h>

#include "basic/clock.h"
#include "basic/number.h"
#include "limit/rate.h"

#define SPAN_MAX_USEC (24 * 3600 * USEC_PER_SEC)
#define BURST_SHARE   20u
#define BURST_MIN     10u

/* "1min", and "min" for it. */
static int parse_span(Slice text, uint64_t *ret) {
        char one[16] = "1";

        if (text.len == 0 || text.len > sizeof one - 2)
                return -EINVAL;
        if (text.data[0] >= '0' && text.data[0] <= '9')
                return number_parse_span(text, ret);
        memcpy(one + 1, text.data, text.len);
        return number_parse_span(slice_make(one, text.len + 1), ret);
}

int limit_rate_parse(Slice text, LimitRate *ret) {
        Slice count, span, burst;
        LimitRate rate;
        int r;

        if (slice_equal(text, SLICE("off"))) {
                *ret = (LimitRate){0};
                return 0;
        }
        if (!slice_cut(text, '/', &count, &span) || number_parse_u64(count, &rate.n) < 0)
                return -EINVAL;
        if (rate.n == 0 || rate.n > UINT32_MAX)
                return -EINVAL;
        rate.burst = MAX(rate.n / BURST_SHARE, MIN(rate.n, BURST_MIN));
        if (slice_cut(span, ':', &span, &burst) && number_parse_u64(burst, &rate.burst) < 0)
                return -EINVAL;
        r = parse_span(span, &rate.span_usec);
        if (r < 0)
                return -EINVAL;
        if (rate.span_usec == 0 || rate.span_usec > SPAN_MAX_USEC || rate.burst == 0 ||
            rate.burst > rate.n || rate.n > LIMIT_RATE_MAX * rate.span_usec / USEC_PER_SEC)
                return -EINVAL;
        *ret = rate;
        return 0;
}
