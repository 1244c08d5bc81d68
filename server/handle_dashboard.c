/* GET / and what its page loads: the dashboard of server/web/dashboard, bundled when the program was
 * built, or in its place a page that says why there is none. */
#include <string.h>

#include "server/document.h"

/* Of build/web/, terminated; the Makefile puts them in. */
extern const char embedded_index_html[];
extern const char embedded_app_js[];
extern const char embedded_app_css[];
extern const char embedded_icon_svg[];

/* Everything comes from this service, and nothing that runs stands in the page itself. */
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

void dashboard_get(struct app *app, const struct request *request, struct reply *reply)
{
    static struct document page = {
        .content_type = "text/html; charset=utf-8", .policy = policy, .body = embedded_index_html};

    (void)app;
    document_answer(&page, request, reply);
}

void dashboard_get_asset(struct app *app, const struct request *request, struct reply *reply)
{
    static struct {
        const char *name;
        struct document document;
    } assets[] = {
        {"app.js",   {.content_type = "text/javascript; charset=utf-8", .body = embedded_app_js}},
        {"app.css",  {.content_type = "text/css; charset=utf-8", .body = embedded_app_css}      },
        {"icon.svg", {.content_type = "image/svg+xml", .body = embedded_icon_svg}               },
    };

    (void)app;
    for (size_t i = 0; i < sizeof assets / sizeof *assets; i++) {
        if (strcmp(request->params[0], assets[i].name) == 0) {
            document_answer(&assets[i].document, request, reply);
            return;
        }
    }
    respond_problem(reply, request, 404, "there is no such file of the dashboard", NULL);
}
