/* SPDX-License-Identifier: MIT */

/* The generic error texts of the API, by status. */

#include <stddef.h>

#include "basic/check.h"
#include "model/problem.h"

static const Problem generic[] = {
                {400, "Bad request"},
                {401, "Authentication required"},
                {403, "Forbidden"},
                {404, "Not found"},
                {405, "Method not allowed"},
                {408, "Request timeout"},
                {410, "This link is blocked"},
                {412, "Precondition failed"},
                {413, "Request body too large"},
                {414, "URI too long"},
                {417, "Expectation failed"},
                {429, "Too many requests"},
                {431, "Request header fields too large"},
                {500, "Internal server error"},
                {501, "Not implemented"},
                {503, "Service unavailable"},
                {505, "HTTP version not supported"},
};

const char *problem_generic_text(int status) {
        for (size_t i = 0; i < ELEMENTSOF(generic); i++)
                if (generic[i].status == status)
                        return generic[i].text;
        return "Internal server error";
}
