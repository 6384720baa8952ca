// SPDX-License-Identifier: MIT
/* fuzz_config.c - the input is a config file, and then an address and a setting.
 *
 * What is refused says why, on one line; what is accepted leaves every value in
 * its range, and being read again gives the same. */
#include "base/check.h"
#include "base/mem.h"
#include "config/settings_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_ranges(const struct settings *s)
{
    for (size_t i = 0; i < settings_count; i++) {
        const struct setting *d = &settings_table[i];
        uint64_t v;

        if (d->type != SETTING_BYTES && d->type != SETTING_COUNT && d->type != SETTING_MS)
            continue;
        memcpy(&v, (const char *)s + d->offset, sizeof v);
        CHECK(v >= d->least && v <= d->most);
    }
    CHECK(s->data.s[0] && strlen(s->data.s) <= SETTING_TEXT_MAX);
    CHECK(s->stomp_address.off || s->stomp_address.len > 0);
}

static void check_fault(const struct settings_fault *why)
{
    CHECK(why->text[0] && memchr(why->text, 0, sizeof why->text));
    CHECK(!strchr(why->text, '\n'));
    CHECK(strncmp(why->text, "f:", 2) == 0);
}

static void check_file(struct bytes in)
{
    struct settings s, again;
    struct settings_fault why = { "" };

    settings_defaults(&s);
    settings_defaults(&again);
    if (settings_read(&s, "f", in, &why)) {
        CHECK(settings_read(&again, "f", in, &why));
        CHECK(memcmp(&s, &again, sizeof s) == 0);
    } else {
        check_fault(&why);
    }
    check_ranges(&s);
}

/* The first byte chooses the setting, the rest is its value. */
static void check_one(struct bytes in)
{
    struct settings s;
    struct settings_fault why;
    struct address a;

    settings_defaults(&s);
    if (in.n > 0)
        (void)setting_put(&settings_table[in.p[0] % settings_count], &s, bytes_from(in, 1), &why);
    check_ranges(&s);
    if (address_parse(in, &a))
        CHECK(a.off || a.sa.ss_family != AF_UNSPEC);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *exact = mem_alloc(n); /* so that reading on is seen */
    struct bytes in = { exact, n };

    if (n > 0)
        memcpy(exact, data, n);
    check_file(in);
    check_one(in);
    mem_free(exact);
    return 0;
}
