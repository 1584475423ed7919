//! Handlebars, with the helpers of dotprompt.

use super::Why;
use super::bounds::deeper;
use super::braces::{Kind, Token, tokens};
use super::tree::{Cond, Expr, Head, Node, Tree, dotted, is_part};
use super::variables::merged;

/// Most parts of a path.
const PARTS_MAX: usize = 32;
/// Longest path, in bytes.
const PATH_MAX: usize = 1024;

/// Reads a template.
///
/// # Errors
/// The first thing that Tera cannot say.
pub(crate) fn read(source: &str) -> Result<Tree, Why> {
    let mut reader =
        Reader { tokens: tokens(source, true)?.into_iter(), scopes: Vec::new(), loops: 0, depth: 0 };
    let (nodes, end) = reader.nodes(None)?;
    match end {
        End::Source => Ok(Tree { nodes, remarks: Vec::new() }),
        End::Else(_, line) => Err(Why::new(line, "{{else}}", "nothing is open that it could belong to")),
        End::Close => Ok(Tree { nodes, remarks: Vec::new() }),
    }
}

/// What ended a run of nodes.
enum End {
    Source,
    Close,
    /// What stands behind the word, and the line.
    Else(String, usize),
}

struct Reader {
    tokens: std::vec::IntoIter<Token>,
    /// The context of each block that changes it, innermost last.
    scopes: Vec<Vec<String>>,
    loops: usize,
    /// How many blocks are open.
    depth: usize,
}

impl Reader {
    fn nodes(&mut self, open: Option<&str>) -> Result<(Vec<Node>, End), Why> {
        let mut nodes = Vec::new();
        while let Some(token) = self.tokens.next() {
            let (kind, inner, line) = match token {
                Token::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Token::Tag { kind, inner, line } => (kind, inner, line),
            };
            let shown = format!("{{{{{inner}}}}}");
            match kind {
                Kind::Comment => nodes.push(Node::Comment(inner.trim_end_matches("--").to_owned())),
                Kind::Output if inner == "else" || inner.starts_with("else ") => {
                    let rest = inner.strip_prefix("else").unwrap_or_default().trim().to_owned();
                    return Ok((nodes, End::Else(rest, line)));
                }
                Kind::Inverted if inner.is_empty() => return Ok((nodes, End::Else(String::new(), line))),
                Kind::Output | Kind::Unescaped => nodes.push(Node::Output(self.value(&inner, line)?)),
                Kind::Partial => {
                    if !inner.split('/').all(|p| !p.is_empty()) || inner.contains([' ', '=', '(', '"']) {
                        let why = "a partial with arguments of its own cannot be converted";
                        return Err(Why::new(line, format!("{{{{>{inner}}}}}"), why));
                    }
                    nodes.push(Node::Include(inner));
                }
                Kind::Open => {
                    self.depth = deeper(self.depth, line, &shown)?;
                    nodes.push(self.block(&inner, line)?);
                    self.depth -= 1;
                }
                Kind::Inverted => {
                    let why = "an inverted section means by the value; write {{#unless}}";
                    return Err(Why::new(line, shown, why));
                }
                Kind::Close if open == Some(inner.as_str()) => return Ok((nodes, End::Close)),
                Kind::Close => {
                    return Err(Why::new(line, format!("{{{{/{inner}}}}}"), "closes nothing that is open"));
                }
            }
        }
        match open {
            None => Ok((nodes, End::Source)),
            Some(name) => Err(Why::new(1, format!("{{{{#{name}}}}}"), "the block is not closed")),
        }
    }

    fn block(&mut self, inner: &str, line: usize) -> Result<Node, Why> {
        let (word, rest) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
        let rest = rest.trim();
        let shown = format!("{{{{#{inner}}}}}");
        match word {
            "if" | "unless" | "ifEquals" | "unlessEquals" => {
                let cond = self.cond(word, rest, line)?;
                self.branches(word, cond)
            }
            "each" => {
                let over = self.value(rest, line)?;
                self.loops += 1;
                let name = if self.loops == 1 { "item".to_owned() } else { format!("item{}", self.loops) };
                self.scopes.push(vec![name.clone()]);
                let (body, end) = self.nodes(Some("each"))?;
                self.scopes.pop();
                self.loops -= 1;
                let otherwise = match end {
                    End::Else(rest, _) if rest.is_empty() => Some(self.nodes(Some("each"))?.0),
                    _ => None,
                };
                Ok(Node::For { name, over, body, otherwise })
            }
            "with" => {
                let over = self.value(rest, line)?;
                let path = over.as_path().unwrap_or_default().to_vec();
                self.scopes.push(path);
                let (body, end) = self.nodes(Some("with"))?;
                self.scopes.pop();
                let otherwise = match end {
                    End::Else(rest, _) if rest.is_empty() => Some(self.nodes(Some("with"))?.0),
                    _ => None,
                };
                Ok(Node::If { branches: vec![(Cond::Holds(over), body)], otherwise })
            }
            _ => Err(Why::new(line, shown, "there is no such block here")),
        }
    }

    fn branches(&mut self, word: &str, first: Cond) -> Result<Node, Why> {
        let (mut branches, mut cond) = (Vec::new(), first);
        loop {
            let (body, end) = self.nodes(Some(word))?;
            branches.push((cond, body));
            match end {
                End::Else(rest, _) if rest.is_empty() => {
                    let (body, _) = self.nodes(Some(word))?;
                    return Ok(Node::If { branches, otherwise: Some(body) });
                }
                End::Else(rest, line) => {
                    let (next, arg) = rest.split_once(char::is_whitespace).unwrap_or((rest.as_str(), ""));
                    if !matches!(next, "if" | "unless") {
                        return Err(Why::new(
                            line,
                            format!("{{{{else {rest}}}}}"),
                            "there is no such block here",
                        ));
                    }
                    cond = self.cond(next, arg.trim(), line)?;
                }
                _ => return Ok(Node::If { branches, otherwise: None }),
            }
        }
    }

    fn cond(&self, word: &str, rest: &str, line: usize) -> Result<Cond, Why> {
        let compared = matches!(word, "ifEquals" | "unlessEquals");
        if !compared {
            let holds = Cond::Holds(self.value(rest, line)?);
            return Ok(if word == "if" { holds } else { Cond::Not(Box::new(holds)) });
        }
        let cannot = || Why::new(line, format!("{{{{#{word} {rest}}}}}"), "needs two values to compare");
        let (a, b) = rest.split_once(char::is_whitespace).ok_or_else(cannot)?;
        let op = if word == "ifEquals" { "==" } else { "!=" };
        Ok(Cond::Compare(self.value(a, line)?, op, self.value(b.trim(), line)?))
    }

    /// A variable in its context, or a literal.
    fn value(&self, text: &str, line: usize) -> Result<Expr, Why> {
        let cannot = |why: &str| Why::new(line, format!("{{{{{text}}}}}"), why);
        if let Some(quoted) = text
            .strip_prefix(['"', '\''])
            .and_then(|t| t.strip_suffix(['"', '\'']))
            .filter(|t| !t.contains(['"', '\'']))
        {
            return Ok(Head::Text(quoted.to_owned()).into());
        }
        if text.contains([' ', '(', '=']) {
            return Err(cannot("a helper with arguments cannot be converted"));
        }
        if matches!(text, "true" | "false") {
            return Ok(Head::Bool(text == "true").into());
        }
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Head::Number(text.to_owned()).into());
        }
        if let Some(data) = text.strip_prefix('@') {
            if let Some(path) = data.strip_prefix("root.").and_then(dotted) {
                return Ok(Head::Path(path).into());
            }
            let name = match data {
                "index" => "index0",
                "first" => "first",
                "last" => "last",
                _ => return Err(cannot("this value of a loop is not known here")),
            };
            return match self.loops {
                0 => Err(cannot("is only known in a loop")),
                _ => Ok(Expr::path(&["loop", name])),
            };
        }
        let (mut up, mut rest) = (0, text);
        while let Some(less) = rest.strip_prefix("../") {
            up += 1;
            rest = less;
        }
        let rest = rest.strip_prefix("./").unwrap_or(rest);
        let scopes = self.scopes.get(..self.scopes.len().saturating_sub(up)).unwrap_or_default();
        let mut path = scopes.last().cloned().unwrap_or_default();
        let own = match rest {
            "this" | "." => "",
            other => other.strip_prefix("this.").or_else(|| other.strip_prefix("this/")).unwrap_or(other),
        };
        if !own.is_empty() {
            let own = own.replace('/', ".");
            path.extend(own.split('.').map(str::to_owned));
        }
        if path.is_empty() || !path.iter().all(|p| is_part(p)) {
            return Err(cannot("is no name of a variable"));
        }
        // What a context adds stands before every name in it.
        if path.len() > PARTS_MAX || path.iter().map(String::len).sum::<usize>() > PATH_MAX {
            return Err(cannot("is too long a way into a value"));
        }
        Ok(Head::Path(path).into())
    }
}

/// A part of what is written.
enum Piece {
    Text(String),
    Output(String),
    /// Takes its line with it where it stands alone on one.
    Block(String),
}

/// Writes a tree.
pub(crate) fn write(nodes: &[Node]) -> Result<String, Why> {
    let mut pieces = Vec::new();
    emit(&merged(nodes), &mut Vec::new(), &mut pieces)?;
    let blank = |line: Option<&str>| line.is_some_and(|line| line.trim().is_empty());
    let mut out = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        let tag = match piece {
            Piece::Text(text) | Piece::Output(text) => {
                out.push_str(text);
                continue;
            }
            Piece::Block(tag) => tag,
        };
        out.push_str(tag);
        let begins = match at.checked_sub(1).and_then(|at| pieces.get(at)) {
            None => true,
            Some(Piece::Text(text)) => blank(text.rsplit('\n').next()) && (text.contains('\n') || at == 1),
            Some(_) => false,
        };
        let ends = match pieces.get(at + 1) {
            None => true,
            Some(Piece::Text(text)) => blank(text.split('\n').next()),
            Some(_) => false,
        };
        if begins && ends {
            // A comment beside it keeps the line, which Tera writes too.
            out.push_str("{{!}}");
        }
    }
    Ok(out)
}

fn emit(nodes: &[Node], items: &mut Vec<String>, out: &mut Vec<Piece>) -> Result<(), Why> {
    let cannot = |what: &str| Why::new(1, what, "Handlebars has no way to say this");
    for node in nodes {
        match node {
            // A tag behind a brace or a backslash would be read otherwise.
            Node::Text(text) if text.ends_with(['{', '\\']) => {
                return Err(cannot("a brace or a backslash before a tag"));
            }
            Node::Text(text) => out.push(Piece::Text(text.replace("{{", "\\{{"))),
            // Nobody is to read it.
            Node::Comment(_) => {}
            Node::Output(expr) => {
                let path = place(expr, items).ok_or_else(|| cannot("a filter or an expression"))?;
                out.push(Piece::Output(format!("{{{{{path}}}}}")));
            }
            Node::If { branches, otherwise } => {
                let [(cond, body)] = branches.as_slice() else { return Err(cannot("elif")) };
                let (word, expr) = match cond {
                    Cond::Holds(expr) => ("if", expr),
                    Cond::Not(inner) => match &**inner {
                        Cond::Holds(expr) => ("unless", expr),
                        _ => return Err(cannot("a condition")),
                    },
                    _ => return Err(cannot("a comparison")),
                };
                let path = place(expr, items).ok_or_else(|| cannot("a condition"))?;
                out.push(Piece::Block(format!("{{{{#{word} {path}}}}}")));
                inner(body, otherwise.as_deref(), items, out)?;
                out.push(Piece::Block(format!("{{{{/{word}}}}}")));
            }
            Node::For { name, over, body, otherwise } => {
                let path = place(over, items).ok_or_else(|| cannot("a loop"))?;
                out.push(Piece::Block(format!("{{{{#each {path}}}}}")));
                items.push(name.clone());
                emit(&merged(body), items, out)?;
                items.pop();
                if let Some(body) = otherwise {
                    out.push(Piece::Block("{{else}}".into()));
                    emit(&merged(body), items, out)?;
                }
                out.push(Piece::Block("{{/each}}".into()));
            }
            Node::Include(name) => out.push(Piece::Block(format!("{{{{>{name}}}}}"))),
            Node::Set { .. } | Node::Capture { .. } => return Err(cannot("set")),
            Node::Break | Node::Continue => return Err(cannot("break and continue")),
        }
    }
    Ok(())
}

fn inner(
    body: &[Node],
    otherwise: Option<&[Node]>,
    items: &mut Vec<String>,
    out: &mut Vec<Piece>,
) -> Result<(), Why> {
    emit(&merged(body), items, out)?;
    if let Some(body) = otherwise {
        out.push(Piece::Block("{{else}}".into()));
        emit(&merged(body), items, out)?;
    }
    Ok(())
}

/// A path as it is named within the loops that it stands in.
fn place(expr: &Expr, items: &[String]) -> Option<String> {
    let path = expr.as_path()?;
    let (first, rest) = path.split_first()?;
    if first == "loop" {
        return match rest {
            [word] if word == "index0" => Some("@index".into()),
            [word] if word == "first" || word == "last" => Some(format!("@{word}")),
            _ => None,
        };
    }
    let depth = items.iter().rev().position(|item| item == first);
    let up = "../".repeat(depth.unwrap_or(items.len()));
    Some(match depth {
        Some(_) if rest.is_empty() => format!("{up}this"),
        Some(_) => format!("{up}{}", rest.join(".")),
        None => format!("{up}{}", path.join(".")),
    })
}
