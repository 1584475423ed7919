//! Time and new ids: both are made here, never by a database.

use schemas::Micros;

/// Now, in microseconds since 1970-01-01T00:00:00Z.
#[must_use]
pub fn now() -> Micros {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|d| Micros::try_from(d.as_micros()).ok())
        .unwrap_or_default()
}

/// A new id: UUIDv7, so that ids sort by the time they were made.
#[must_use]
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// `2026-11-20T23:47:03.123456Z`.
#[must_use]
pub fn rfc3339(at: Micros) -> String {
    jiff::Timestamp::from_microsecond(at).map_or_else(|_| String::new(), |t| t.to_string())
}

/// Reads a time as RFC 3339 writes it.
#[must_use]
pub fn parse(text: &str) -> Option<Micros> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}

/// `Fri, 20 Nov 2026 23:47:03 GMT`, as HTTP writes a time.
#[must_use]
pub fn http_date(at: Micros) -> String {
    jiff::Timestamp::from_microsecond(at)
        .map_or_else(|_| String::new(), |t| t.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

/// Reads an HTTP date, to the second.
#[must_use]
pub fn from_http_date(text: &str) -> Option<Micros> {
    let civil = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", text).ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_read_back_to_the_second() {
        let at = 1_795_218_423_000_000;
        assert_eq!(from_http_date(&http_date(at)), Some(at));
        assert_eq!(from_http_date("yesterday"), None);
    }

    #[test]
    fn ids_sort_by_the_time_they_were_made() {
        let (first, second) = (new_id(), new_id());
        assert!(first < second, "{first} {second}");
    }
}
