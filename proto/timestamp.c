#include "proto/timestamp.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char weekdays[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

/* The date of a time, within the years that have four digits. */
static struct tm to_date(time_t at)
{
    static const time_t last = 253402300799; /* of the year 9999 */
    struct tm date = {.tm_mday = 1, .tm_year = 70};

    at = at < 0 ? 0 : at > last ? last : at;
    (void)gmtime_r(&at, &date);
    return date;
}

void timestamp_format(struct timespec at, char out[TIMESTAMP_BYTES])
{
    const struct tm date = to_date(at.tv_sec);

    (void)snprintf(out, TIMESTAMP_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
                   ((unsigned)date.tm_year + 1900) % 10000, ((unsigned)date.tm_mon + 1) % 100,
                   (unsigned)date.tm_mday % 100, (unsigned)date.tm_hour % 100,
                   (unsigned)date.tm_min % 100, (unsigned)date.tm_sec % 100,
                   (unsigned)(at.tv_nsec / 1000000) % 1000);
}

void http_date_format(time_t at, char out[HTTP_DATE_BYTES])
{
    const struct tm date = to_date(at);

    (void)snprintf(out, HTTP_DATE_BYTES, "%s, %02u %s %04u %02u:%02u:%02u GMT",
                   weekdays[date.tm_wday % 7], (unsigned)date.tm_mday % 100,
                   months[date.tm_mon % 12], ((unsigned)date.tm_year + 1900) % 10000,
                   (unsigned)date.tm_hour % 100, (unsigned)date.tm_min % 100,
                   (unsigned)date.tm_sec % 100);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The fields of a date, by the letter that stands for each of their digits in a pattern. */
struct fields {
    int day, year, short_year, hour, minute, second; /* D Y y h m s */
    int month;                                       /* B, its name; from 0 */
};

static int *field_of(struct fields *fields, char letter)
{
    switch (letter) {
    case 'D':
        return &fields->day;
    case 'Y':
        return &fields->year;
    case 'y':
        return &fields->short_year;
    case 'h':
        return &fields->hour;
    case 'm':
        return &fields->minute;
    case 's':
        return &fields->second;
    default:
        return NULL;
    }
}

static int find_month(const char *text)
{
    int month = 0;

    while (month < 12 && strncmp(text, months[month], 3) != 0) {
        month++;
    }
    return month;
}

/* Reads `text` by a pattern: 'w' stands for a word, 'B' for a month's name, '_' for a digit of the
 * day or a blank; the letters of field_of() for digits; everything else for itself. */
static bool scan(const char *text, const char *pattern, struct fields *out)
{
    struct fields fields = {.month = 12};

    for (; *pattern != '\0'; pattern++) {
        bool is_blank_day = *pattern == '_' && *text == ' ';
        int *field = field_of(&fields, *pattern == '_' ? 'D' : *pattern);
        if (*pattern == 'w') {
            size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzDFMSTW");
            if (length < 3) {
                return false;
            }
            text += length;
        } else if (*pattern == 'B') {
            fields.month = find_month(text);
            if (fields.month == 12) {
                return false;
            }
            text += 3;
        } else if (field != NULL && !is_blank_day) {
            if (!isdigit((unsigned char)*text)) {
                return false;
            }
            *field = *field * 10 + (*text++ - '0');
        } else if (is_blank_day || *text == *pattern) {
            text++;
        } else {
            return false;
        }
    }
    *out = fields;
    return *text == '\0';
}

/* Days from 1970 to a date of the Gregorian calendar: years begin with March, so that the leap day
 * is their last. */
static long days_since_epoch(int year, int month, int day)
{
    long y = month >= 2 ? year : year - 1; /* months from 0 */
    long m = (month + 10) % 12;
    long day_of_year = (153 * m + 2) / 5 + day - 1;

    return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

bool http_date_parse(const char *text, time_t *out)
{
    static const char *const patterns[] = {
        "w, DD B YYYY hh:mm:ss GMT", "w, DD-B-yy hh:mm:ss GMT", /* RFC 850 */
        "w B _D hh:mm:ss YYYY",                                 /* asctime() */
    };
    struct fields f;
    size_t i = 0;

    while (i < sizeof patterns / sizeof *patterns && !scan(text, patterns[i], &f)) {
        i++;
    }
    if (i == sizeof patterns / sizeof *patterns) {
        return false;
    }
    if (i == 1) {
        f.year = f.short_year + (f.short_year < 70 ? 2000 : 1900);
    }
    if (f.day < 1 || f.day > 31 || f.hour > 23 || f.minute > 59 || f.second > 60) {
        return false;
    }
    *out = (time_t)days_since_epoch(f.year, f.month, f.day) * 86400 + f.hour * 3600L +
           f.minute * 60L + f.second;
    return true;
}
