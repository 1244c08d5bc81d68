/* YAML as the contract is written in: what is understood is JSON. */
#include "proto/contract.h"
#include "tests/fuzz/fuzz.h"

static void run(const char *bytes, size_t size)
{
    struct text text = {0};
    struct error err = {0};
    enum err rc = contract_convert(bytes, size, &text, &err);

    require_told(rc, &err, NULL);
    if (rc == ERR_OK) {
        require_json_text(&text);
    }
    text_close(&text);
}

FUZZ_TARGET(run)
