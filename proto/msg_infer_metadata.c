#include "proto/msg_infer_metadata.h"

#include "core/device.h"
#include "core/version.h"
#include "proto/msg_infer.h"

#define SERVER_NAME "dgld"

void msg_infer_server_encode(struct text *out)
{
    text_puts(out, "{\"name\":\"" SERVER_NAME "\",\"version\":\"" DGLD_VERSION
                   "\",\"extensions\":[\"binary_tensor_data\",\"statistics\",\"model_repository\","
                   "\"model_configuration\"]}\n");
}

void msg_infer_model_encode(const struct space *space, const char *const *versions,
                            size_t n_versions, struct text *out)
{
    text_printf(out, "{\"name\":\"%s\",\"versions\":[", space->name);
    for (size_t i = 0; i < n_versions; i++) {
        text_puts(out, i > 0 ? "," : "");
        text_put_json_string(out, versions[i]);
    }
    text_printf(out,
                "],\"platform\":\"" SERVER_NAME "\",\"inputs\":["
                "{\"name\":\"" INFER_ARCHITECTURE "\",\"datatype\":\"INT64\",\"shape\":[-1,%zu]},"
                "{\"name\":\"" INFER_HARDWARE "\",\"datatype\":\"FP64\",\"shape\":[-1,%d]}],"
                "\"outputs\":["
                "{\"name\":\"" INFER_LATENCY "\",\"datatype\":\"FP32\",\"shape\":[-1]}]}\n",
                space->n_genes, HARDWARE_N_FIELDS);
}

void msg_infer_config_encode(const struct space *space, struct text *out)
{
    text_printf(out,
                "{\"name\":\"%s\",\"platform\":\"" SERVER_NAME "\",\"backend\":\"" SERVER_NAME "\","
                "\"version_policy\":{\"latest\":{\"num_versions\":1}},\"max_batch_size\":0,"
                "\"input\":["
                "{\"name\":\"" INFER_ARCHITECTURE "\",\"data_type\":\"TYPE_INT64\","
                "\"dims\":[-1,%zu]},"
                "{\"name\":\"" INFER_HARDWARE "\",\"data_type\":\"TYPE_FP64\",\"dims\":[-1,%d]}],"
                "\"output\":["
                "{\"name\":\"" INFER_LATENCY "\",\"data_type\":\"TYPE_FP32\",\"dims\":[-1]}]}\n",
                space->name, space->n_genes, HARDWARE_N_FIELDS);
}
