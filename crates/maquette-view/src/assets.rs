//! The page's own files and the libraries that it uses, which are part of the program.

use include_dir::{Dir, include_dir};

static PAGE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/page");
static VENDOR: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/vendor");

/// A file by its path below the token, such as `page/app.js`, with its media type.
pub fn find(path: &str) -> Option<(&'static str, &'static [u8])> {
    let file = match path.split_once('/') {
        None if path.is_empty() => PAGE.get_file("index.html"),
        Some(("page", name)) => PAGE.get_file(name),
        Some(("vendor", name)) => VENDOR.get_file(name),
        _ => None,
    }?;
    let ending = file.path().extension().and_then(|ending| ending.to_str());
    let kind = match ending {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    };
    Some((kind, file.contents()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(directory: &'static Dir<'_>) -> Vec<(String, String)> {
        let files = directory.files().map(|file| {
            let text = String::from_utf8_lossy(file.contents()).into_owned();
            (file.path().display().to_string(), text)
        });
        files.chain(directory.dirs().flat_map(texts)).collect()
    }

    #[test]
    fn files_are_found_by_their_paths_only() {
        assert_eq!(find("").unwrap().0, "text/html; charset=utf-8");
        assert_eq!(find("page/app.js").unwrap().0, "text/javascript; charset=utf-8");
        for path in ["page/", "page/../vendor", "vendor", "app.js", "page/none.js", "/page/app.js"]
        {
            assert!(find(path).is_none(), "{path}");
        }
    }

    /// The policy that the page is served with would refuse it, and nobody has to be reached to see an environment.
    #[test]
    fn the_page_has_no_script_or_style_in_it_and_fetches_nothing_from_elsewhere() {
        for (name, text) in texts(&PAGE) {
            for word in ["<script>", "<style>", "style=\"", "onclick=", "javascript:", "innerHTML"]
            {
                assert!(!text.contains(word), "{name}: {word}");
            }
            let far =
                text.split("://").skip(1).filter(|rest| !rest.starts_with("www.w3.org/2000/svg"));
            assert_eq!(far.count(), 0, "{name} names an address");
        }
    }

    #[test]
    fn every_file_that_the_page_names_is_there() {
        for (name, text) in texts(&PAGE) {
            let named = text.split(['"', '\'']).filter(|word| {
                word.starts_with("page/")
                    || word.starts_with("../vendor/")
                    || word.starts_with("vendor/")
                    || word.starts_with("./")
            });
            for word in named {
                let path = match word.strip_prefix("../").or(word.strip_prefix("./").map(|_| "")) {
                    Some("") => format!("page/{}", &word[2..]),
                    Some(path) => path.to_string(),
                    None => word.to_string(),
                };
                assert!(find(&path).is_some(), "{name}: {word}");
            }
        }
    }
}
