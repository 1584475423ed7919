//! Liquid: conditions, loops, assignments and the filters of which Tera has the same.

use super::Why;
use super::bounds::{Lines, another, deeper, opening};
use super::tree::{Cond, Expr, Filter, Head, Node, Tree, dotted};

mod say;

/// Longest subject of a `case`, in bytes.
const SUBJECT_MAX: usize = 256;

pub(crate) use say::write;

/// Reads a template.
///
/// # Errors
/// The first thing that Tera cannot say.
pub(crate) fn read(source: &str) -> Result<Tree, Why> {
    let pieces = pieces(source)?.into_iter();
    let mut reader = Reader { pieces, remarks: Vec::new(), loops: 0, depth: 0 };
    let (nodes, end) = reader.nodes(&[])?;
    match end {
        None => Ok(Tree { nodes, remarks: reader.remarks }),
        Some((word, line)) => Err(Why::new(line, word, "nothing is open that could end here")),
    }
}

enum Piece {
    Text(String),
    Output(String, usize),
    Block(String, usize),
}

/// Cuts a source up, white space taken off as the tags ask.
fn pieces(source: &str) -> Result<Vec<Piece>, Why> {
    let (mut out, mut rest, mut trims) = (Vec::new(), source, false);
    let (mut lines, mut tags) = (Lines::new(source), 0);
    while !rest.is_empty() {
        let start = opening(rest, b"{%").unwrap_or(rest.len());
        let (text, after) = rest.split_at(start);
        let mut text = if std::mem::take(&mut trims) { text.trim_start() } else { text };
        if after.is_empty() {
            out.push(Piece::Text(text.to_owned()));
            break;
        }
        let line = lines.of(source.len() - after.len());
        tags = another(tags, line, after)?;
        let is_output = after.starts_with("{{");
        let close = if is_output { "}}" } else { "%}" };
        let end = after
            .find(close)
            .ok_or_else(|| Why::new(line, crate::found::shown(after), "the tag is not closed"))?;
        let mut inner = after.get(2..end).unwrap_or_default();
        rest = after.get(end + 2..).unwrap_or_default();
        if let Some(less) = inner.strip_prefix('-') {
            text = text.trim_end();
            inner = less;
        }
        if let Some(less) = inner.strip_suffix('-') {
            trims = true;
            inner = less;
        }
        let inner = inner.trim().to_owned();
        out.push(Piece::Text(text.to_owned()));
        if matches!(inner.as_str(), "raw" | "comment") && !is_output {
            let (text, left) = until(rest, &inner)
                .ok_or_else(|| Why::new(line, format!("{{% {inner} %}}"), "the block is not closed"))?;
            if inner == "raw" {
                out.push(Piece::Text(text.to_owned()));
            }
            rest = left;
            continue;
        }
        out.push(if is_output { Piece::Output(inner, line) } else { Piece::Block(inner, line) });
    }
    Ok(out)
}

/// The text of a block up to its end, and what comes behind.
fn until<'s>(rest: &'s str, word: &str) -> Option<(&'s str, &'s str)> {
    let mut from = 0;
    loop {
        let at = from + rest.get(from..)?.find("{%")?;
        let end = at + rest.get(at..)?.find("%}")?;
        let inner = rest.get(at + 2..end)?.trim_matches('-').trim();
        if inner.strip_prefix("end") == Some(word) {
            return Some((rest.get(..at)?, rest.get(end + 2..)?));
        }
        from = end + 2;
    }
}

struct Reader {
    pieces: std::vec::IntoIter<Piece>,
    remarks: Vec<Why>,
    loops: usize,
    /// How many blocks are open.
    depth: usize,
}

type Ended = (Vec<Node>, Option<(String, usize)>);

impl Reader {
    fn nodes(&mut self, ends: &[&str]) -> Result<Ended, Why> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            match piece {
                Piece::Text(text) => nodes.extend((!text.is_empty()).then_some(Node::Text(text))),
                Piece::Output(inner, line) => nodes.push(Node::Output(self.expr(&inner, line)?)),
                Piece::Block(inner, line) => {
                    let word = inner.split_whitespace().next().unwrap_or_default();
                    if ends.contains(&word) {
                        return Ok((nodes, Some((inner, line))));
                    }
                    self.depth = deeper(self.depth, line, &inner)?;
                    nodes.extend(self.block(&inner, line)?);
                    self.depth -= 1;
                }
            }
        }
        Ok((nodes, None))
    }

    fn block(&mut self, inner: &str, line: usize) -> Result<Option<Node>, Why> {
        let (word, rest) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
        let rest = rest.trim();
        let cannot = |why: &str| Why::new(line, format!("{{% {inner} %}}"), why);
        Ok(Some(match word {
            "if" => {
                let cond = self.cond(rest, line)?;
                self.branches("endif", cond)?
            }
            "unless" => {
                let cond = Cond::Not(Box::new(self.cond(rest, line)?));
                self.branches("endunless", cond)?
            }
            "case" => self.case(rest, line)?,
            "for" => {
                let (name, over) = rest.split_once(" in ").ok_or_else(|| cannot("is no loop"))?;
                let over = over.trim();
                if over.contains(' ') && !over.starts_with('(') {
                    return Err(cannot("limit, offset and reversed cannot be converted"));
                }
                let over = self.expr(over, line)?;
                self.loops += 1;
                let (body, end) = self.nodes(&["else", "endfor"])?;
                self.loops -= 1;
                let otherwise = match end {
                    Some((word, _)) if word == "else" => Some(self.nodes(&["endfor"])?.0),
                    Some(_) => None,
                    None => return Err(cannot("the loop is not closed")),
                };
                Node::For { name: name.trim().to_owned(), over, body, otherwise }
            }
            "assign" => {
                let (name, value) = rest.split_once('=').ok_or_else(|| cannot("is no assignment"))?;
                if self.loops > 0 {
                    return Err(cannot("an assignment in a loop would end with it here"));
                }
                Node::Set { name: name.trim().to_owned(), value: self.expr(value.trim(), line)? }
            }
            "capture" if self.loops == 0 => {
                let (body, _) = self.nodes(&["endcapture"])?;
                Node::Capture { name: rest.trim_matches(['"', '\'']).to_owned(), body }
            }
            "include" => match literal(rest) {
                Some(name) => Node::Include(name),
                None => {
                    return Err(cannot(
                        "a partial with arguments, or named by a variable, cannot be converted",
                    ));
                }
            },
            "echo" => Node::Output(self.expr(rest, line)?),
            "break" => Node::Break,
            "continue" => Node::Continue,
            "#" => return Ok(None),
            _ => return Err(cannot("there is no such tag here")),
        }))
    }

    fn branches(&mut self, last: &str, first: Cond) -> Result<Node, Why> {
        let (mut branches, mut cond) = (Vec::new(), first);
        loop {
            let (body, end) = self.nodes(&["elsif", "else", last])?;
            branches.push((cond, body));
            match end {
                Some((word, _)) if word == "else" => {
                    let (body, _) = self.nodes(&[last])?;
                    return Ok(Node::If { branches, otherwise: Some(body) });
                }
                Some((word, line)) if word.starts_with("elsif") => {
                    cond = self.cond(word.trim_start_matches("elsif").trim(), line)?;
                }
                Some(_) => return Ok(Node::If { branches, otherwise: None }),
                None => return Err(Why::new(1, last, "is missing: a condition is not closed")),
            }
        }
    }

    fn case(&mut self, subject: &str, line: usize) -> Result<Node, Why> {
        let cannot = |why: &str| Why::new(line, format!("{{% case {subject} %}}"), why);
        let length = subject.len();
        let subject = self.expr(subject, line)?;
        // It is written again for each value that it is compared with.
        if length > SUBJECT_MAX || !subject.filters.is_empty() {
            return Err(cannot("has filters or is too long; assign it to a variable first"));
        }
        let (mut branches, mut otherwise) = (Vec::new(), None);
        let (_, mut end) = self.nodes(&["when", "else", "endcase"])?;
        loop {
            match end {
                Some((word, line)) if word.starts_with("when") => {
                    let values = word.trim_start_matches("when").replace(" or ", ",");
                    let mut any = Vec::new();
                    for value in values.split(',') {
                        any.push(Cond::Compare(subject.clone(), "==", self.expr(value.trim(), line)?));
                    }
                    let (body, next) = self.nodes(&["when", "else", "endcase"])?;
                    let cond = if any.len() == 1 { any.swap_remove(0) } else { Cond::Any(any) };
                    branches.push((cond, body));
                    end = next;
                }
                Some((word, _)) if word == "else" => {
                    let (body, next) = self.nodes(&["endcase"])?;
                    otherwise = Some(body);
                    end = next;
                }
                Some(_) if branches.is_empty() => return Err(cannot("has no case")),
                Some(_) => return Ok(Node::If { branches, otherwise }),
                None => return Err(cannot("is not closed")),
            }
        }
    }

    fn cond(&mut self, text: &str, line: usize) -> Result<Cond, Why> {
        let words = split(text, ' ');
        let (all, any) = (words.contains(&"and"), words.contains(&"or"));
        if all && any {
            let why = "`and` and `or` together are read from the right in Liquid, and otherwise here";
            return Err(Why::new(line, text, why));
        }
        let word = if all { "and" } else { "or" };
        let mut conds = Vec::new();
        for part in words.split(|w| *w == word) {
            conds.push(self.simple(part, line)?);
        }
        Ok(match (all, any) {
            (true, _) => Cond::All(conds),
            (_, true) => Cond::Any(conds),
            _ => conds.swap_remove(0),
        })
    }

    fn simple(&mut self, words: &[&str], line: usize) -> Result<Cond, Why> {
        let text = words.join(" ");
        let words: Vec<&str> = words.iter().copied().filter(|w| !w.is_empty()).collect();
        match words.as_slice() {
            [one] => Ok(Cond::Holds(self.expr(one, line)?)),
            [_, _, "empty" | "blank" | "nil" | "null"] => {
                Err(Why::new(line, text, "a comparison with empty, blank or nil cannot be converted"))
            }
            [a, "contains", b] => Ok(Cond::Contains(self.expr(a, line)?, self.expr(b, line)?)),
            [a, op, b] => {
                let op = ["==", "!=", ">=", "<=", ">", "<"].into_iter().find(|known| known == op);
                let op = op.ok_or_else(|| Why::new(line, text, "is no comparison"))?;
                Ok(Cond::Compare(self.expr(a, line)?, op, self.expr(b, line)?))
            }
            _ => Err(Why::new(line, text, "is no condition that can be converted")),
        }
    }

    fn expr(&mut self, text: &str, line: usize) -> Result<Expr, Why> {
        let cannot = |why: &str| Why::new(line, text, why);
        let mut parts = split(text, '|').into_iter();
        let head = self.head(parts.next().unwrap_or_default().trim(), line)?;
        let mut filters = Vec::new();
        for part in parts {
            let (name, args) = part.split_once(':').unwrap_or((part, ""));
            let mut values = Vec::new();
            for arg in split(args, ',').into_iter().map(str::trim).filter(|a| !a.is_empty()) {
                values.push(self.head(arg, line).map(Expr::from)?);
            }
            let name = name.trim();
            let (to, names) = filter(name, values.len())
                .ok_or_else(|| cannot(&format!("the filter {name} has no equal here")))?;
            if to == "default" {
                let why =
                    "the default also replaces an empty text in Liquid; here only a value that is not given";
                self.remarks.push(Why::new(line, text, why));
            }
            let args = names.iter().map(|n| (*n).to_owned()).zip(values).collect();
            filters.push(Filter { name: to.to_owned(), args });
        }
        Ok(Expr { head, filters })
    }

    fn head(&mut self, text: &str, line: usize) -> Result<Head, Why> {
        let cannot = |why: &str| Why::new(line, text, why);
        if let Some(text) = literal(text) {
            return Ok(Head::Text(text));
        }
        if let Some((from, to)) =
            text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).and_then(|t| t.split_once(".."))
        {
            if [from, to].iter().any(|end| end.trim_start().starts_with('(')) {
                return Err(cannot("the ends of a range are numbers or variables"));
            }
            let (from, to) = (self.head(from.trim(), line)?, self.head(to.trim(), line)?);
            return Ok(Head::Range(Box::new(from.into()), Box::new(to.into())));
        }
        match text {
            "true" | "false" => return Ok(Head::Bool(text == "true")),
            "nil" | "null" | "empty" | "blank" => return Err(cannot("has no equal here")),
            _ => {}
        }
        if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') && text.parse::<f64>().is_ok() {
            return Ok(Head::Number(text.to_owned()));
        }
        let mut path =
            dotted(&text.replace('[', ".").replace(']', "")).ok_or_else(|| cannot("is no variable"))?;
        if path.first().is_some_and(|p| p == "forloop") {
            if self.loops == 0
                || !matches!(path.get(1).map(String::as_str), Some("index" | "index0" | "first" | "last"))
            {
                return Err(cannot("this value of a loop is not known here"));
            }
            path = vec!["loop".to_owned(), path.swap_remove(1)];
        }
        match path.last().map(String::as_str) {
            Some("size" | "first" | "last")
                if path.first().is_some_and(|p| p != "loop") && path.len() > 1 =>
            {
                Err(cannot("write it as a filter: a field of this name may be meant"))
            }
            _ => Ok(Head::Path(path)),
        }
    }
}

/// Tera's name for a filter, and of its arguments.
fn filter(name: &str, args: usize) -> Option<(&'static str, &'static [&'static str])> {
    let none: &[&str] = &[];
    Some(match (name, args) {
        ("upcase", 0) => ("upper", none),
        ("downcase", 0) => ("lower", none),
        ("capitalize", 0) => ("capitalize", none),
        ("strip", 0) => ("trim", none),
        ("lstrip", 0) => ("trim_start", none),
        ("rstrip", 0) => ("trim_end", none),
        ("size", 0) => ("length", none),
        ("first", 0) => ("first", none),
        ("last", 0) => ("last", none),
        ("reverse", 0) => ("reverse", none),
        ("uniq", 0) => ("unique", none),
        ("sort", 0) => ("sort", none),
        ("abs", 0) => ("abs", none),
        ("round", 0) => ("round", none),
        ("escape", 0) => ("escape_html", none),
        ("newline_to_br", 0) => ("newlines_to_br", none),
        ("join", 1) => ("join", &["sep"]),
        ("split", 1) => ("split", &["pat"]),
        ("default", 1) => ("default", &["value"]),
        ("replace", 2) => ("replace", &["from", "to"]),
        _ => return None,
    })
}

fn literal(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    (text.len() > 1 && !inner.contains(quote)).then(|| inner.to_owned())
}

/// Cuts at a character, texts in quotes left whole.
fn split(text: &str, at: char) -> Vec<&str> {
    let (mut out, mut from, mut quote) = (Vec::new(), 0, None);
    for (index, c) in text.char_indices() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if c == at => {
                out.push(text.get(from..index).unwrap_or_default());
                from = index + c.len_utf8();
            }
            None => {}
        }
    }
    out.push(text.get(from..).unwrap_or_default());
    out
}
