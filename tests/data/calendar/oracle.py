"""Writes bounds.txt: when periods with a beginning of their own begin, by Python's zoneinfo.

    PYTHONTZPATH=FOLDER python3 oracle.py > bounds.txt

FOLDER is the content of ../tzif-2026f-debian.tar.gz. Each line: a zone, a date, and in seconds since 1970 when that date
begins at 06:00, the week from Sunday that it lies in, the month from the 31st that it lies in, and the day that is seven
days before it.
"""

import calendar
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

ZONES = [
    "Africa/Cairo", "America/Havana", "America/New_York", "America/Sao_Paulo", "America/Santiago", "America/St_Johns",
    "Asia/Tehran", "Australia/Lord_Howe", "Europe/Berlin", "Europe/Dublin", "Pacific/Apia", "Africa/Casablanca",
]
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def utc(zone, seconds):
    return (EPOCH + timedelta(seconds=seconds)).astimezone(zone).replace(tzinfo=None)


def exists(zone, day):
    return any(utc(zone, at).date() == day for at in range(base(day) - 50400, base(day) + 187200, 900))


def base(day):
    return (day - date(1970, 1, 1)).days * 86400


def first(zone, civil):
    """The first instant at which clocks show a civil time, or anything later: minute by minute."""
    low = base(civil.date()) - 129600
    # Half hours first, then minutes, then seconds: clocks of these years change at whole minutes.
    for step in (1800, 60):
        at = low
        while utc(zone, at) < civil:
            at += step
        low = at - step
    return at


def begins(zone, day, clock=time(0)):
    while not exists(zone, day):
        day += timedelta(days=1)
    return first(zone, datetime.combine(day, clock))


def month31(day):
    def start(year, month):
        return date(year, month, calendar.monthrange(year, month)[1])

    own = start(day.year, day.month)
    if own <= day:
        return own
    last = day.replace(day=1) - timedelta(days=1)
    return start(last.year, last.month)


def changes(zone):
    at, last = 31536000, utc(zone, 31536000 - 21600) - (EPOCH.replace(tzinfo=None) + timedelta(seconds=31536000 - 21600))
    while at < 2145916800:
        offset = utc(zone, at) - (EPOCH.replace(tzinfo=None) + timedelta(seconds=at))
        if offset != last:
            yield utc(zone, at).date()
        last = offset
        at += 21600


def main():
    for name in ZONES:
        zone = ZoneInfo(name)
        days = sorted({day + timedelta(days=n) for day in changes(zone) for n in (-1, 0, 1)})
        for day in days[:: 5 if len(days) > 150 else 1]:
            sunday = day - timedelta(days=(day.weekday() + 1) % 7)
            bounds = [
                begins(zone, day, time(6)),
                begins(zone, sunday),
                begins(zone, month31(day)),
                begins(zone, day - timedelta(days=7)),
            ]
            print(name, day, *bounds)


main()
