/* What templates may call by name. */
#include <string.h>

#include "base/text_format.h"
#include "chat/render.h"

status functions_define(struct render *r, bool has_time) {
    static const struct {
        const char *name;
        enum function function;
    } functions[] = {{"namespace", FUNCTION_NAMESPACE},   {"dict", FUNCTION_DICT},
                     {"range", FUNCTION_RANGE},           {"raise_exception", FUNCTION_RAISE},
                     {"strftime_now", FUNCTION_STRFTIME}, {"cycler", FUNCTION_CYCLER},
                     {"joiner", FUNCTION_JOINER},         {"lipsum", FUNCTION_LIPSUM}};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        struct value function = {.kind = VALUE_FUNCTION, .number = functions[i].function};
        if (function.number == FUNCTION_STRFTIME && !has_time) continue;
        TRY(dict_set_text(&r->arena, r->globals->variables, functions[i].name, function));
    }
    return OK;
}

static status make_dict(struct render *r, bool space, const struct arguments *arguments,
                        struct value *result) {
    struct dict *dict;
    TRY(dict_create(&r->arena, &dict));
    if (arguments->n > 1 || (arguments->n && arguments->list[0].kind != VALUE_DICT))
        return render_fail(r, UNSUPPORTED, "%s of anything but a dict and named values",
                           space ? "namespace" : "dict");
    const struct dict *sources[2] = {arguments->n ? arguments->list[0].as.dict : NULL,
                                     arguments->named};
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; sources[k] && i < sources[k]->n; i++) {
            struct value key = sources[k]->entries[i].key;
            if (space && key.kind == VALUE_STRING && key.length && key.as.text[0] == '_')
                return render_fail(r, FORMAT, "an attribute that begins with an underscore");
            TRY(dict_set(&r->arena, dict, key, sources[k]->entries[i].value));
        }
    *result = value_dict(dict);
    if (space) result->kind = VALUE_NAMESPACE;
    return OK;
}

static status make_range(struct render *r, const struct arguments *arguments,
                         struct value *result) {
    enum { MOST_RANGE = 100000 }; /* of Jinja's sandbox */
    int64_t bounds[3] = {0, 0, 1};
    struct list *list;
    if (arguments->named || !arguments->n || arguments->n > 3)
        return render_fail(r, FORMAT, "range takes 1 to 3 arguments");
    for (size_t i = 0; i < arguments->n; i++)
        if (!value_integer(arguments->list[i], &bounds[arguments->n == 1 ? 1 : i]))
            return render_fail(r, FORMAT, "range: '%s' is no integer",
                               value_kind_name(arguments->list[i]));
    if (!bounds[2]) return render_fail(r, FORMAT, "range() arg 3 must not be zero");
    TRY(list_create(&r->arena, LIST_LIST, 0, &list));
    for (int64_t i = bounds[0]; bounds[2] > 0 ? i < bounds[1] : i > bounds[1];) {
        if (list->n == MOST_RANGE)
            return render_fail(r, LIMIT, "range has more than %d items", MOST_RANGE);
        TRY(list_add(&r->arena, list, value_int(i)));
        if (__builtin_add_overflow(i, bounds[2], &i)) break;
    }
    *result = value_list(list);
    return OK;
}

static status raise(struct render *r, struct value message) {
    TRY(value_to_string(&r->arena, message, &message));
    int n = message.length < 900 ? (int)message.length : 900;
    return render_fail(r, INVALID_ARGUMENT, "%.*s", n, message.as.text);
}

status functions_call(struct render *r, uint32_t function, const struct arguments *arguments,
                      struct value *result) {
    struct value values[1];
    switch (function) {
    case FUNCTION_NAMESPACE:
    case FUNCTION_DICT:
        return make_dict(r, function == FUNCTION_NAMESPACE, arguments, result);
    case FUNCTION_RANGE:
        return make_range(r, arguments, result);
    case FUNCTION_CYCLER:
    case FUNCTION_JOINER:
    case FUNCTION_LIPSUM:
        return render_fail(r, UNSUPPORTED, "the function '%s'",
                           function == FUNCTION_CYCLER   ? "cycler"
                           : function == FUNCTION_JOINER ? "joiner"
                                                         : "lipsum");
    case FUNCTION_RAISE:
        TRY(render_bind(r, "raise_exception", "!message", arguments, values));
        return raise(r, values[0]);
    default:
        TRY(render_bind(r, "strftime_now", "!format", arguments, values));
        if (values[0].kind != VALUE_STRING)
            return render_fail(r, FORMAT, "strftime_now: the format is no string");
        return functions_strftime(r, values[0], result);
    }
}

/* ---- dates ---- */

struct date {
    int64_t year, day_of_year; /* from 1 */
    int month, day;            /* from 1 */
    int weekday;               /* 0: Sunday */
    int hour, minute, second;
};

static bool is_leap(int64_t year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days are counted in years that begin in March, so that the leap day comes last. */
static struct date read_date(int64_t seconds) {
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    int64_t weekday = (days + 4) % 7, from = days + 719468; /* since 1 March of the year 0 */
    int64_t era = (from >= 0 ? from : from - 146096) / 146097, of_era = from - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153; /* from March */
    struct date date = {.year = year + era * 400 + (month >= 10),
                        .month = (int)(month < 10 ? month + 3 : month - 9),
                        .day = (int)(of_year - (153 * month + 2) / 5 + 1),
                        .weekday = (int)(weekday < 0 ? weekday + 7 : weekday),
                        .hour = (int)(rest / 3600),
                        .minute = (int)(rest / 60 % 60),
                        .second = (int)(rest % 60)};
    date.day_of_year = month >= 10 ? of_year - 305 : of_year + 60 + is_leap(date.year);
    return date;
}

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};

/* One number of `width` digits, or without leading zeros. */
static void write_number(char *text, size_t size, int64_t number, int width, bool bare) {
    text_format(text, size, "%0*" PRId64, bare ? 1 : width, number);
}

static bool write_field(const struct date *date, char kind, bool bare, char *text, size_t size) {
    int hour = date->hour % 12 ? date->hour % 12 : 12;
    switch (kind) {
    case 'Y':
        write_number(text, size, date->year, 1, bare);
        return true;
    case 'y':
        write_number(text, size, date->year % 100, 2, bare);
        return true;
    case 'm':
        write_number(text, size, date->month, 2, bare);
        return true;
    case 'd':
        write_number(text, size, date->day, 2, bare);
        return true;
    case 'e':
        text_format(text, size, bare ? "%d" : "%2d", date->day);
        return true;
    case 'j':
        write_number(text, size, date->day_of_year, 3, bare);
        return true;
    case 'H':
        write_number(text, size, date->hour, 2, bare);
        return true;
    case 'I':
        write_number(text, size, hour, 2, bare);
        return true;
    case 'M':
        write_number(text, size, date->minute, 2, bare);
        return true;
    case 'S':
        write_number(text, size, date->second, 2, bare);
        return true;
    case 'p':
        text_format(text, size, "%s", date->hour < 12 ? "AM" : "PM");
        return true;
    case 'B':
        text_format(text, size, "%s", months[date->month - 1]);
        return true;
    case 'b':
    case 'h':
        text_format(text, size, "%.3s", months[date->month - 1]);
        return true;
    case 'A':
        text_format(text, size, "%s", weekdays[date->weekday]);
        return true;
    case 'a':
        text_format(text, size, "%.3s", weekdays[date->weekday]);
        return true;
    case 'F':
        text_format(text, size, "%" PRId64 "-%02d-%02d", date->year, date->month, date->day);
        return true;
    case 'T':
        text_format(text, size, "%02d:%02d:%02d", date->hour, date->minute, date->second);
        return true;
    case '%':
        text_format(text, size, "%%");
        return true;
    default:
        return false;
    }
}

status functions_strftime(struct render *r, struct value format, struct value *result) {
    struct buffer buffer = {.arena = &r->arena};
    struct date date = read_date(r->local_time);
    for (size_t i = 0; i < format.length; i++) {
        char text[40];
        const char *p = format.as.text + i;
        if (*p != '%') {
            TRY(buffer_add(&buffer, p, 1));
            continue;
        }
        bool bare = i + 1 < format.length && p[1] == '-';
        i += bare ? 2 : 1;
        char kind = i < format.length ? format.as.text[i] : 0;
        if (!write_field(&date, kind, bare, text, sizeof text))
            return render_fail(r, UNSUPPORTED, "strftime_now: %%%c", kind ? kind : ' ');
        TRY(buffer_add_text(&buffer, text));
    }
    *result = value_buffer(&buffer);
    return OK;
}
