//! Tera: what every language is written as. It is read here only as far as other languages can say the
//! same; what agents render is read by `schemas::template`.

use schemas::template::{BLOCKS_MAX, TAGS_MAX};

use super::Why;
use super::bounds::{line_of, opening};
use super::tree::{Cond, Expr, Filter, Head, Node, dotted, is_part};

/// Most `not` before one another.
const NOTS_MAX: usize = 8;

/// Writes a tree. Braces that are text stay text.
pub(crate) fn write(nodes: &[Node]) -> String {
    let mut out = Out::default();
    out.nodes(nodes);
    out.text
}

#[derive(Default)]
struct Out {
    text: String,
    /// The last character was written as text, and is an opening brace.
    is_open: bool,
}

impl Out {
    /// Text, with what Tera would read as the begin of a tag written as a string.
    fn plain(&mut self, text: &str) {
        for c in text.chars() {
            if self.is_open && matches!(c, '{' | '%' | '#') {
                self.text.pop();
                self.text.push_str("{{ \"{\" }}");
            }
            self.text.push(c);
            self.is_open = c == '{';
        }
    }

    fn tag(&mut self, tag: &str) {
        if self.is_open {
            self.text.pop();
            self.text.push_str("{{ \"{\" }}");
        }
        self.text.push_str(tag);
        self.is_open = false;
    }

    fn nodes(&mut self, nodes: &[Node]) {
        for node in nodes {
            self.node(node);
        }
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Text(text) => self.plain(text),
            Node::Output(expr) => self.tag(&format!("{{{{ {} }}}}", expression(expr))),
            Node::If { branches, otherwise } => {
                for (index, (cond, body)) in branches.iter().enumerate() {
                    let word = if index == 0 { "if" } else { "elif" };
                    self.tag(&format!("{{% {word} {} %}}", condition(cond, false)));
                    self.nodes(body);
                }
                self.otherwise(otherwise.as_deref());
                self.tag("{% endif %}");
            }
            Node::For { name, over, body, otherwise } => {
                self.tag(&format!("{{% for {name} in {} %}}", expression(over)));
                self.nodes(body);
                self.otherwise(otherwise.as_deref());
                self.tag("{% endfor %}");
            }
            Node::Set { name, value } => self.tag(&format!("{{% set {name} = {} %}}", expression(value))),
            Node::Capture { name, body } => {
                self.tag(&format!("{{% set {name} %}}"));
                self.nodes(body);
                self.tag("{% endset %}");
            }
            Node::Include(name) => self.tag(&format!("{{% include {} %}}", quoted(name))),
            Node::Comment(text) => self.tag(&format!("{{# {} #}}", text.trim().replace("#}", "# }"))),
            Node::Break => self.tag("{% break %}"),
            Node::Continue => self.tag("{% continue %}"),
        }
    }

    fn otherwise(&mut self, nodes: Option<&[Node]>) {
        if let Some(nodes) = nodes {
            self.tag("{% else %}");
            self.nodes(nodes);
        }
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

pub(crate) fn path(parts: &[String]) -> String {
    let mut out = String::new();
    for (index, part) in parts.iter().enumerate() {
        if part.bytes().all(|b| b.is_ascii_digit()) {
            out.push_str(&format!("[{part}]"));
        } else {
            if index > 0 {
                out.push('.');
            }
            out.push_str(part);
        }
    }
    out
}

fn expression(expr: &Expr) -> String {
    let mut out = match &expr.head {
        Head::Path(parts) => path(parts),
        Head::Text(text) => quoted(text),
        Head::Number(number) => number.clone(),
        Head::Bool(value) => value.to_string(),
        Head::Range(from, to) => {
            let end = match &to.head {
                Head::Number(n) if n.parse::<i64>().is_ok() => {
                    (n.parse::<i64>().unwrap_or(0) + 1).to_string()
                }
                _ => format!("{} + 1", expression(to)),
            };
            format!("range(start={}, end={end})", expression(from))
        }
    };
    for filter in &expr.filters {
        out.push_str(" | ");
        out.push_str(&filter.name);
        if !filter.args.is_empty() {
            let args: Vec<_> = filter.args.iter().map(|(n, v)| format!("{n}={}", expression(v))).collect();
            out.push_str(&format!("({})", args.join(", ")));
        }
    }
    out
}

fn condition(cond: &Cond, inner: bool) -> String {
    let grouped = |text: String| if inner { format!("({text})") } else { text };
    let joined = |all: &[Cond], word: &str| {
        let all = all.iter().map(|c| condition(c, matches!(c, Cond::All(_) | Cond::Any(_))));
        grouped(all.collect::<Vec<_>>().join(word))
    };
    match cond {
        Cond::Holds(expr) => expression(expr),
        Cond::Not(c) => format!("not {}", condition(c, true)),
        Cond::Compare(a, op, b) => grouped(format!("{} {op} {}", expression(a), expression(b))),
        Cond::Contains(a, b) => grouped(format!("{} in {}", expression(b), expression(a))),
        Cond::All(all) => joined(all, " and "),
        Cond::Any(all) => joined(all, " or "),
    }
}

/// Reads what other languages can say too: text, variables, conditions, loops, partials.
///
/// # Errors
/// The first thing that is more than that.
pub(crate) fn read(source: &str) -> Result<Vec<Node>, Why> {
    let mut reader = Reader { source, at: 0, depth: 0, tags: 0 };
    let (nodes, end) = reader.nodes(&[])?;
    match end {
        None => Ok(nodes),
        Some(tag) => Err(reader.cannot(&tag, "nothing is open that could end here")),
    }
}

struct Reader<'s> {
    source: &'s str,
    at: usize,
    /// How many blocks are open.
    depth: usize,
    tags: usize,
}

impl<'s> Reader<'s> {
    fn cannot(&self, what: &str, why: &str) -> Why {
        Why::new(line_of(self.source, self.at), what, why)
    }

    fn nodes(&mut self, ends: &[&str]) -> Result<(Vec<Node>, Option<String>), Why> {
        let mut nodes = Vec::new();
        loop {
            let rest: &'s str = self.source.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok((nodes, None));
            }
            let start = opening(rest, b"{%#");
            let text = rest.get(..start.unwrap_or(rest.len())).unwrap_or_default();
            if !text.is_empty() {
                nodes.push(Node::Text(text.to_owned()));
                self.at += text.len();
                continue;
            }
            if self.tags >= TAGS_MAX {
                return Err(self.cannot(rest, &format!("the template has more than {TAGS_MAX} tags")));
            }
            self.tags += 1;
            let (open, close) = match rest.as_bytes().get(1) {
                Some(b'{') => ("{{", "}}"),
                Some(b'%') => ("{%", "%}"),
                _ => ("{#", "#}"),
            };
            let Some(end) = close_of(rest, close) else {
                return Err(self.cannot(open, "the tag is not closed"));
            };
            let inner = rest.get(2..end).unwrap_or_default();
            let whole = rest.get(..end + 2).unwrap_or_default();
            if inner.starts_with('-') || inner.ends_with('-') {
                return Err(self.cannot(whole, "white space that a tag takes off cannot be said otherwise"));
            }
            let inner = inner.trim();
            if open == "{{" {
                let expr = expr(inner).ok_or_else(|| self.cannot(whole, "only Tera can say this"))?;
                nodes.push(match expr {
                    Expr { head: Head::Text(text), filters } if filters.is_empty() => Node::Text(text),
                    expr => Node::Output(expr),
                });
                self.at += end + 2;
            } else if open == "{#" {
                nodes.push(Node::Comment(inner.to_owned()));
                self.at += end + 2;
            } else {
                let word = inner.split_whitespace().next().unwrap_or_default();
                if ends.contains(&word) {
                    self.at += end + 2;
                    return Ok((nodes, Some(inner.to_owned())));
                }
                if self.depth >= BLOCKS_MAX {
                    let why = format!("blocks are nested more than {BLOCKS_MAX} deep");
                    return Err(self.cannot(whole, &why));
                }
                self.depth += 1;
                nodes.push(self.block(whole, inner, word, end + 2)?);
                self.depth -= 1;
            }
        }
    }

    fn block(&mut self, whole: &str, inner: &str, word: &str, length: usize) -> Result<Node, Why> {
        let more = || self.cannot(whole, "only Tera can say this");
        let rest = inner.strip_prefix(word).unwrap_or_default().trim();
        match word {
            "if" => {
                let first = cond(rest).ok_or_else(more)?;
                self.at += length;
                self.branches(first)
            }
            "for" => {
                let (name, over) = rest.split_once(" in ").ok_or_else(more)?;
                let over = expr(over.trim()).filter(|_| is_part(name.trim())).ok_or_else(more)?;
                let name = name.trim().to_owned();
                self.at += length;
                let (body, end) = self.nodes(&["else", "endfor"])?;
                let otherwise = match end.as_deref() {
                    Some("else") => Some(self.nodes(&["endfor"])?.0),
                    _ => None,
                };
                Ok(Node::For { name, over, body, otherwise })
            }
            "include" => {
                let name = literal(rest).ok_or_else(more)?;
                self.at += length;
                Ok(Node::Include(name))
            }
            "raw" => {
                let from = self.at + length;
                let after = self.source.get(from..).unwrap_or_default();
                let end = after.find("{% endraw %}").ok_or_else(more)?;
                let text = after.get(..end).unwrap_or_default().to_owned();
                self.at = from + end + "{% endraw %}".len();
                Ok(Node::Text(text))
            }
            _ => Err(more()),
        }
    }

    fn branches(&mut self, first: Cond) -> Result<Node, Why> {
        let (mut branches, mut cond_now) = (Vec::new(), first);
        loop {
            let (body, end) = self.nodes(&["elif", "else", "endif"])?;
            branches.push((cond_now, body));
            match end.as_deref() {
                Some("else") => {
                    let (body, _) = self.nodes(&["endif"])?;
                    return Ok(Node::If { branches, otherwise: Some(body) });
                }
                Some(elif) if elif.starts_with("elif") => {
                    cond_now = cond(elif.trim_start_matches("elif").trim())
                        .ok_or_else(|| self.cannot(elif, "only Tera can say this"))?;
                }
                _ => return Ok(Node::If { branches, otherwise: None }),
            }
        }
    }
}

/// Where a tag ends, strings in it left aside.
fn close_of(rest: &str, close: &str) -> Option<usize> {
    if close == "#}" {
        return rest.find(close);
    }
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(2) {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if rest.get(at..).is_some_and(|r| r.starts_with(close)) => return Some(at),
            None => {}
        }
    }
    None
}

fn literal(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(match chars.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            }),
            c if c == quote => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

/// A variable, a literal, and filters without arguments.
pub(crate) fn expr(text: &str) -> Option<Expr> {
    if let Some(text) = literal(text) {
        return Some(Head::Text(text).into());
    }
    let mut parts = text.split('|').map(str::trim);
    let head = head(parts.next()?)?;
    let filters = parts
        .map(|name| is_part(name).then(|| Filter { name: name.to_owned(), args: Vec::new() }))
        .collect::<Option<Vec<_>>>()?;
    Some(Expr { head, filters })
}

fn head(text: &str) -> Option<Head> {
    if let Some(text) = literal(text) {
        return Some(Head::Text(text));
    }
    if matches!(text, "true" | "false") {
        return Some(Head::Bool(text == "true"));
    }
    if text.parse::<f64>().is_ok() && text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return Some(Head::Number(text.to_owned()));
    }
    dotted(&text.replace('[', ".").replace(']', "")).map(Head::Path)
}

fn cond(text: &str) -> Option<Cond> {
    if text.contains(['"', '\'', '`', '(']) && (text.contains(" and ") || text.contains(" or ")) {
        return None;
    }
    match (text.contains(" and "), text.contains(" or ")) {
        (true, true) => None,
        (true, false) => text.split(" and ").map(simple).collect::<Option<_>>().map(Cond::All),
        (false, true) => text.split(" or ").map(simple).collect::<Option<_>>().map(Cond::Any),
        (false, false) => simple(text),
    }
}

fn simple(text: &str) -> Option<Cond> {
    let (mut text, mut nots) = (text.trim(), 0);
    while let Some(rest) = text.strip_prefix("not ") {
        nots += 1;
        text = rest.trim();
    }
    if nots > NOTS_MAX {
        return None;
    }
    positive(text).map(|cond| (0..nots).fold(cond, |cond, _| Cond::Not(Box::new(cond))))
}

fn positive(text: &str) -> Option<Cond> {
    for op in ["==", "!=", ">=", "<=", ">", "<"] {
        if let Some((a, b)) = text.split_once(op) {
            return Some(Cond::Compare(expr(a.trim())?, op, expr(b.trim())?));
        }
    }
    let found = expr(text)?;
    matches!(found.head, Head::Path(_)).then_some(Cond::Holds(found))
}
