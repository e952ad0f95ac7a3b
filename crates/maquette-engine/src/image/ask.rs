//! What servers say of images that are going to be downloaded, asked before anything is touched.

use std::io::{Read, Write};
use std::time::Duration;

use maquette_core::image::{Format, NotAnImage, inspect, redact, redact_words};

use super::fetch::{LARGEST, NO_WAY_OUT, bytes, is_encrypted};
use crate::host::heard::Heard;
use crate::host::{Command, Host, HostError, Local};

/// The whole program that asks them.
pub const SCRIPT: &str = include_str!("../../assets/image/ask.sh");

/// How much of what it prints is read, in bytes: an image has a line of some 1100, and one of what curl says.
const LONGEST: u64 = 1 << 20;

/// How long it may say nothing: all servers are asked at the same time, each for 10 s.
const SILENCE: Duration = Duration::from_secs(60);

/// What a server says of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It has something.
    Has {
        /// How many bytes, where it says so.
        length: Option<u64>,
        /// What that begins like, where its first bytes tell.
        format: Option<Result<Format, NotAnImage>>,
    },
    /// It answers with an error of HTTP's.
    Refuses(u16),
    /// It was not reached, in curl's words.
    Unreached(String),
}

impl Said {
    /// Whether another try is of no use: what was asked for is not there, or not for us.
    pub fn is_final(&self) -> bool {
        // Others may mean that it is busy, or that it does not like to be asked for a part.
        matches!(self, Self::Refuses(401 | 403 | 404 | 410))
    }
}

/// Asks the servers of these addresses, in the order of which they are answered: none where that could not be found out.
/// `host` is who is going to download, and `remote` whether this machine does it where that one has no way out.
pub fn ask(
    host: &dyn Host,
    urls: &[&str],
    authorities: Option<&str>,
    remote: bool,
) -> Result<Vec<Option<Said>>, HostError> {
    let said = ask_on(host, urls, authorities)?;
    let out_of_reach = |said: &Option<(String, Said)>| {
        said.as_ref().is_some_and(|(ended, _)| NO_WAY_OUT.contains(&ended.as_str()))
    };
    let again: Vec<usize> = (0..said.len()).filter(|i| remote && out_of_reach(&said[*i])).collect();
    let mut all: Vec<Option<Said>> = said.into_iter().map(|s| Some(s?.1)).collect();
    if !again.is_empty() {
        let left: Vec<&str> = again.iter().map(|i| urls[*i]).collect();
        for (index, here) in again.iter().zip(ask_on(&Local, &left, authorities)?) {
            all[*index] = here.map(|(_, said)| said);
        }
    }
    Ok(all)
}

/// Each answer with curl's exit status.
fn ask_on(
    host: &dyn Host,
    urls: &[&str],
    authorities: Option<&str>,
) -> Result<Vec<Option<(String, Said)>>, HostError> {
    let command = Command::script(SCRIPT, Vec::<String>::new());
    let failed = |source| HostError::File { verb: "ask", path: "servers of images".into(), source };
    let mut child = host.spawn(&command)?;
    let orders = orders(urls, authorities);
    // Who is gone does not read; what there is of answers is taken.
    let _ = child.stdin.take().map(|mut pipe| pipe.write_all(orders.as_bytes()));
    let mut text = Vec::new();
    // Who says nothing has nothing to say of any image.
    let heard = Heard::new(child.id(), SILENCE);
    let read =
        child.stdout.take().map(|pipe| heard.listen(pipe).take(LONGEST).read_to_end(&mut text));
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
    read.transpose().map_err(failed)?;
    Ok(parse(&String::from_utf8_lossy(&text), urls))
}

fn orders(urls: &[&str], authorities: Option<&str>) -> String {
    let mut orders = String::new();
    for line in authorities.into_iter().flat_map(str::lines).filter(|l| !l.trim().is_empty()) {
        orders.push_str(&format!("{line}\n"));
    }
    orders.push_str(".\n");
    for url in urls {
        // What was begun with encryption goes on so; an address was checked to have neither quotes nor line ends.
        let redirects = if is_encrypted(url) { "=https" } else { "=http,https" };
        orders.push_str(&format!("{redirects}\nurl = \"{url}\"\n"));
    }
    orders
}

fn parse(text: &str, urls: &[&str]) -> Vec<Option<(String, Said)>> {
    let lines: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let of = |index: usize| {
        let number = index.to_string();
        let mut own = lines.iter().filter(|(n, _)| *n == number).map(|(_, rest)| *rest);
        let answer = own.next()?;
        let why = own.next().and_then(|rest| rest.strip_prefix("| "));
        said(answer, why, urls[index])
    };
    (0..urls.len()).map(of).collect()
}

/// What an answer means. The head comes before the end where a server sends all though it was asked for a part: curl ends
/// with an error then, since nobody reads on.
fn said(answer: &str, why: Option<&str>, url: &str) -> Option<(String, Said)> {
    let words: Vec<&str> = answer.split(' ').collect();
    let [ended, status, length, head] = words[..] else { return None };
    if status == "down" {
        let why = "it leads from an address with encryption to one without".to_string();
        return Some((ended.into(), Said::Unreached(why)));
    }
    let (status, head) = (status.parse::<u16>().ok(), bytes(head));
    let said = match status {
        Some(status @ 400..) => Said::Refuses(status),
        Some(200..300) if !head.is_empty() || ended == "0" => {
            let length = length.parse().ok().filter(|length| *length <= LARGEST);
            Said::Has { length, format: format(&head, length) }
        }
        _ if ended == "0" => return None,
        _ => {
            let why = redact_words(&why.unwrap_or("it does not answer").replace(url, &redact(url)));
            Said::Unreached(why)
        }
    };
    Some((ended.into(), said))
}

/// What begins so. What more than these bytes would have to tell is found out when it is there.
fn format(head: &[u8], length: Option<u64>) -> Option<Result<Format, NotAnImage>> {
    if head.is_empty() {
        return (length == Some(0)).then_some(Err(NotAnImage::Empty));
    }
    match inspect(head, length.unwrap_or(u64::MAX)) {
        Err(NotAnImage::Unknown | NotAnImage::Short | NotAnImage::Other(_, Some("raw"))) => None,
        told => Some(told),
    }
}

#[cfg(test)]
mod tests;
