/* The smaller messages. An input is one letter that says which, and its body. */
#include "proto/msg_accuracy.h"
#include "proto/msg_device.h"
#include "proto/msg_model.h"
#include "proto/msg_repository.h"
#include "proto/msg_suggest.h"
#include "tests/fuzz/fuzz.h"

enum { ARCHITECTURES_MAX = 100 };

static void accuracy(const char *bytes, size_t size)
{
    struct accuracy_request request = {0};
    struct error err = {0};
    enum err rc =
        msg_accuracy_decode(bytes, size, &space_fbnetv3, ARCHITECTURES_MAX, &request, &err);

    require_told(rc, &err, &request.errors);
    if (rc == ERR_OK) {
        double values[ARCHITECTURES_MAX] = {NAN};
        struct text text = {0};
        require(request.n >= 1 && request.n <= ARCHITECTURES_MAX);
        msg_accuracy_encode(&space_fbnetv3, "{}", values, request.n, &text);
        require_json_text(&text);
        text_close(&text);
    }
    msg_accuracy_close(&request);
}

/* What is understood of a device makes a sheet file, which says the same. */
static void device(const char *bytes, size_t size)
{
    struct device_sheet sheet = {0}, again = {0};
    struct field_errors errors = {0};
    struct error err = {0};
    enum err rc = msg_device_decode_body(bytes, size, &sheet, &errors, &err);

    require_told(rc, &err, &errors);
    if (rc == ERR_OK) {
        struct text text = {0};
        require(hardware_validate(&sheet.hardware, NULL, NULL) == ERR_OK);
        msg_device_encode_sheet(&sheet, &text);
        require_json_text(&text);
        require(msg_device_decode(text.bytes, text.size, &again, &err) == ERR_OK);
        require(strcmp(sheet.chip, again.chip) == 0 && strcmp(sheet.source, again.source) == 0);
        require(sheet.is_estimated == again.is_estimated);
        require(memcmp(&sheet.hardware, &again.hardware, sizeof sheet.hardware) == 0);
        text_close(&text);
    }
    field_errors_close(&errors);
}

static void sheet_file(const char *bytes, size_t size)
{
    struct device_view view = {.has_sheet = true};
    struct error err = {0};
    enum err rc = msg_device_decode(bytes, size, &view.sheet, &err);

    require_told(rc, &err, NULL);
    if (rc == ERR_OK) {
        struct text text = {0};
        msg_device_encode(&view, &text);
        require_json_text(&text);
        text_close(&text);
    }
}

static void suggest(const char *bytes, size_t size)
{
    struct suggest_request request = {0};
    struct error err = {0};
    enum err rc = msg_suggest_decode(bytes, size, &request, &err);

    require_told(rc, &err, &request.errors);
    if (rc == ERR_OK) {
        const size_t n = request.n_given < 3 ? request.n_given : 3;
        const struct suggest_reply reply = {
            .space = request.space, .device = "x", .genes = request.genes, .n = n};
        struct text text = {0};
        require(request.n >= 1 && request.n <= SUGGEST_MAX_N && request.seed >= 0);
        require(request.n_given <= SUGGEST_MAX_GIVEN);
        msg_suggest_encode_json(&reply, &text);
        require_json_text(&text);
        msg_suggest_encode_csv(&reply, "\r\n", &text);
        text_close(&text);
    }
    msg_suggest_close(&request);
}

static void activate(const char *bytes, size_t size)
{
    struct activate_request request = {0};
    struct field_errors errors = {0};
    struct error err = {0};
    enum err rc = msg_activate_decode(bytes, size, &request, &errors, &err);

    require_told(rc, &err, &errors);
    require(rc != ERR_OK || model_name_validate(request.version, NULL) == ERR_OK);
    field_errors_close(&errors);
}

static void repository_index(const char *bytes, size_t size)
{
    bool only_ready = false;
    struct error err = {0};

    require_told(msg_repository_index_decode(bytes, size, &only_ready, &err), &err, NULL);
}

static void repository_order(const char *bytes, size_t size)
{
    struct error err = {0};

    require_told(msg_repository_order_check(bytes, size, &err), &err, NULL);
}

static const struct {
    char letter;
    void (*run)(const char *bytes, size_t size);
} messages[] = {
    {'a', accuracy        },
    {'d', device          },
    {'f', sheet_file      },
    {'s', suggest         },
    {'v', activate        },
    {'i', repository_index},
    {'o', repository_order},
};

static void run(const char *bytes, size_t size)
{
    for (size_t i = 0; size > 0 && i < COUNT_OF(messages); i++) {
        if (messages[i].letter == bytes[0]) {
            messages[i].run(bytes + 1, size - 1);
        }
    }
}

FUZZ_TARGET(run)
