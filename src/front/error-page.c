/* SPDX-License-Identifier: MIT */

/* Errors of redirects: people follow links with browsers, programs with clients that like JSON. */

#include "basic/number.h"
#include "front/front.h"
#include "model/problem.h"

/* The q of one element's parameters in thousandths; 1000 when there is none. */
static unsigned quality(Slice parameters) {
        Slice parameter;

        while (parameters.len > 0) {
                unsigned scale = 1000, q = 0;

                (void)slice_cut(parameters, ';', &parameter, &parameters);
                parameter = slice_trim(parameter);
                if (!slice_starts_with_nocase(parameter, SLICE("q=")))
                        continue;
                for (size_t i = 2; i < parameter.len && scale > 0; i++) {
                        if (parameter.data[i] == '.')
                                continue;
                        if (parameter.data[i] < '0' || parameter.data[i] > '9')
                                break;
                        q += (unsigned)(parameter.data[i] - '0') * scale;
                        scale /= 10;
                }
                return MIN(q, 1000u);
        }
        return 1000;
}

static bool prefers_html(Slice accept) {
        unsigned html = 0, json = 0;
        Slice element, type, parameters;

        while (accept.len > 0) {
                unsigned q;

                (void)slice_cut(accept, ',', &element, &accept);
                (void)slice_cut(element, ';', &type, &parameters);
                type = slice_trim(type);
                q = quality(parameters);
                if (slice_equal_nocase(type, SLICE("text/html")))
                        html = MAX(html, q);
                else if (slice_equal_nocase(type, SLICE("application/json")) ||
                         slice_equal_nocase(type, SLICE("application/*")) ||
                         slice_equal_nocase(type, SLICE("*/*")))
                        json = MAX(json, q);
        }
        return html > json;
}

static void append_page(Buffer *body, int status, const char *text) {
        buffer_printf(body,
                      "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width\">\n"
                      "<title>%s</title>\n<style>body{font:1.2em sans-serif;margin:20vh auto;"
                      "max-width:30em;text-align:center}</style>\n<h1>%d</h1>\n<p>%s</p>\n</"
                      "html>\n",
                      text, status, text);
}

void front_redirect_error(HttpExchange *exchange, int status, const char *text) {
        HttpResponse *response = &exchange->response;

        response->status = status;
        buffer_clear(&response->body);
        buffer_clear(&response->head);
        if (status == 503)
                http_response_field(response, "Retry-After", SLICE("1"));
        http_response_field(response, "Cache-Control", SLICE("private, no-store"));
        if (!prefers_html(exchange->request.known[HTTP_FIELD_ACCEPT])) {
                buffer_printf(&response->body, "{\"error\":\"%s\"}\n", text);
                return;
        }
        response->content_type = SLICE("text/html; charset=utf-8");
        append_page(&response->body, status, text);
}
