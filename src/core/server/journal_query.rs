//! `/logs/?query=`: units or a file, as arguments of journalctl (KEP-2258).

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Query;

const MAX_SERVICES: usize = 4;
const MAX_SERVICE_NAME: usize = 256;
const MAX_TAIL: u32 = 100_000;

/// What the query selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalQuery {
    /// A file below the log directory, unchecked.
    File(String),
    /// Units, as arguments of journalctl.
    Units(Vec<String>),
}

/// Parses a query; `Ok(None)` if there is none, `Err` is the text for status 400.
pub fn parse_journal_query(query: &Query) -> Result<Option<JournalQuery>, String> {
    let option = |name: &str| query.get(name).filter(|v| !v.is_empty());
    let options = ["sinceTime", "untilTime", "tailLines", "pattern", "boot"].map(option);
    let [since, until, tail, pattern, boot] = options;
    if query.get("query").is_none() && options.iter().all(Option::is_none) {
        return Ok(None);
    }
    let (files, services): (Vec<&str>, Vec<&str>) =
        query.all("query").map(str::trim).filter(|q| !q.is_empty()).partition(|q| q.contains(['/', '\\']));
    match (files.as_slice(), services.as_slice()) {
        ([], []) => return Err("query: may not be empty".to_owned()),
        ([file], []) if options.iter().all(Option::is_none) => return Ok(Some(JournalQuery::File((*file).to_owned()))),
        ([_], []) => return Err(format!("query: Invalid value: {files:?}: cannot specify file with options")),
        ([_, ..], []) => return Err(format!("query: Invalid value: {files:?}: cannot specify more than one file")),
        ([_, ..], [_, ..]) => return Err("query: cannot specify a file and service".to_owned()),
        ([], [_, ..]) => {}
    }
    if services.len() > MAX_SERVICES {
        return Err(format!("query: Too many: {}: must have at most {MAX_SERVICES} items", services.len()));
    }
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_.:@".contains(c);
    if let Some(bad) = services.iter().find(|s| s.len() > MAX_SERVICE_NAME || !s.chars().all(safe)) {
        return Err(format!("query: Invalid value: {bad:?}: input contains unsupported characters or is too long"));
    }
    let mut arguments = vec!["--utc".to_owned(), "--no-pager".to_owned(), "--output=short-precise".to_owned()];
    let since = since.map(|text| journal_time("sinceTime", text)).transpose()?;
    let until = until.map(|text| journal_time("untilTime", text)).transpose()?;
    if let (Some((since, _)), Some((until, _))) = (&since, &until)
        && since > until
    {
        return Err("untilTime: must be after `sinceTime`".to_owned());
    }
    arguments.extend(since.map(|(_, text)| format!("--since={text}")));
    arguments.extend(until.map(|(_, text)| format!("--until={text}")));
    if let Some(text) = tail {
        let lines = text.parse::<u32>().ok().filter(|n| *n <= MAX_TAIL);
        let lines =
            lines.ok_or_else(|| format!("tailLines: Invalid value: {text:?}: must be between 0 and {MAX_TAIL}"))?;
        arguments.push(format!("--lines={lines}"));
    }
    arguments.extend(services.iter().map(|s| format!("--unit={s}")));
    // One argument each: no value can be read as an option.
    arguments.extend(pattern.map(|p| format!("--grep={p}")));
    if let Some(text) = boot {
        let boot = text.parse::<i32>().ok().filter(|n| *n <= 0);
        let boot = boot.ok_or_else(|| format!("boot: Invalid value: {text:?}: must be a number less than 1"))?;
        arguments.push(format!("--boot={boot}"));
    }
    Ok(Some(JournalQuery::Units(arguments)))
}

fn journal_time(name: &str, text: &str) -> Result<(Timestamp, String), String> {
    let time: Timestamp = text.parse().map_err(|_| format!("{name}: Invalid value: {text:?}: invalid time format"))?;
    let shown = time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    Ok((time, shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Option<JournalQuery>, String> {
        parse_journal_query(&Query::parse(text))
    }

    #[test]
    fn units_become_arguments_that_hold_their_values() {
        let Ok(Some(JournalQuery::Units(arguments))) = parsed(
            "query=kubelet&query=containerd&tailLines=5&boot=-1&pattern=--root%3D%2F&sinceTime=2024-01-01T02:00:00%2B02:00",
        ) else {
            panic!("no units")
        };
        assert_eq!(
            arguments[3..],
            [
                "--since=2024-01-01 00:00:00 UTC",
                "--lines=5",
                "--unit=kubelet",
                "--unit=containerd",
                "--grep=--root=/",
                "--boot=-1"
            ]
        );
    }

    #[test]
    fn a_slash_means_a_file_and_no_query_means_none() {
        assert_eq!(parsed("query=/alternatives.log"), Ok(Some(JournalQuery::File("/alternatives.log".into()))));
        assert_eq!(parsed(""), Ok(None));
    }

    #[test]
    fn hostile_or_senseless_queries_are_refused() {
        for text in [
            "query=",
            "query=a%20b",
            "query=a%0a--root",
            "query=a&query=b&query=c&query=d&query=e",
            "query=a&query=/b",
            "query=/a&tailLines=1",
            "query=a&tailLines=100001",
            "query=a&boot=1",
            "query=a&sinceTime=now",
            "tailLines=3",
            "query=a&sinceTime=2024-01-02T00:00:00Z&untilTime=2024-01-01T00:00:00Z",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
