#include <cstdio>
#include <string>
#include <transformer.h>

int main() {
    transformer_sampler_destroy(nullptr);
    std::string version = transformer_version_string();
    std::printf("%s\n", version.c_str());
    return version == TRANSFORMER_VERSION_TEXT && transformer_device_count() >= 1 ? 0 : 1;
}
