//! A variable of a template under another name.

use super::parse;
use super::syntax::{Args, Expr, ExprKind, FilterCall, Node};

/// `source` with the variable `from` called `to`.
pub(super) fn rename(source: &str, from: &str, to: &str) -> Option<String> {
    let is_name = !to.starts_with(|c: char| c.is_ascii_digit())
        && !to.is_empty()
        && to.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return None;
    }
    let mut found = Uses { from, to, places: Vec::new(), is_clear: true };
    found.nodes(&parse::parse(source).ok()?);
    if !found.is_clear || found.places.is_empty() {
        return None;
    }
    found.places.sort_unstable();
    let mut out = String::with_capacity(source.len() + found.places.len() * to.len());
    let mut done = 0;
    for at in found.places {
        out.push_str(source.get(done..at)?);
        out.push_str(to);
        done = at + from.len();
        if source.get(at..done)? != from {
            return None;
        }
    }
    out.push_str(source.get(done..)?);
    Some(out)
}

/// Where a variable stands, as bytes of the source.
struct Uses<'a> {
    from: &'a str,
    to: &'a str,
    places: Vec<usize>,
    /// Neither name is one that the template gives to something of its own, and the new one is not used.
    is_clear: bool,
}

impl Uses<'_> {
    fn bind(&mut self, name: &str) {
        self.is_clear &= name != self.from && name != self.to;
    }

    fn nodes(&mut self, nodes: &[Node<'_>]) {
        for node in nodes {
            self.node(node);
        }
    }

    fn node(&mut self, node: &Node<'_>) {
        match node {
            Node::Text { .. } | Node::Include { .. } | Node::Jump => {}
            Node::Output(expr) => self.expr(expr),
            Node::If { branches, otherwise } => {
                for (condition, body) in branches {
                    self.expr(condition);
                    self.nodes(body);
                }
                self.nodes(otherwise);
            }
            Node::For { names, target, body, otherwise } => {
                names.iter().for_each(|name| self.bind(name));
                self.expr(target);
                self.nodes(body);
                self.nodes(otherwise);
            }
            Node::Set { name, value, .. } => {
                self.bind(name);
                self.expr(value);
            }
            Node::SetBlock { name, filters, body, .. } => {
                self.bind(name);
                self.filters(filters);
                self.nodes(body);
            }
            Node::FilterBlock { filters, body } => {
                self.filters(filters);
                self.nodes(body);
            }
        }
    }

    fn filters(&mut self, calls: &[FilterCall<'_>]) {
        for call in calls {
            self.args(&call.args);
        }
    }

    fn args(&mut self, args: &Args<'_>) {
        for (_, value) in args {
            self.expr(value);
        }
    }

    fn expr(&mut self, expr: &Expr<'_>) {
        match &expr.kind {
            ExprKind::Scalar(_) | ExprKind::Text(_) | ExprKind::LoopField(_) => {}
            ExprKind::Var(name) => {
                if *name == self.from {
                    self.places.push(expr.start);
                }
                self.is_clear &= *name != self.to;
            }
            ExprKind::Attr { base, .. } => self.expr(base),
            ExprKind::Index { base, index } => {
                self.expr(base);
                self.expr(index);
            }
            ExprKind::Slice { base, parts, .. } => {
                self.expr(base);
                parts.iter().flatten().for_each(|part| self.expr(part));
            }
            ExprKind::Filter { base, call } => {
                self.expr(base);
                self.args(&call.args);
            }
            ExprKind::Test { base, args, .. } => {
                self.expr(base);
                self.args(args);
            }
            ExprKind::Call { args, .. } => self.args(args),
            ExprKind::Not(inner) | ExprKind::Minus(inner) | ExprKind::Paren(inner) => self.expr(inner),
            ExprKind::Binary { left, right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Ternary { condition, yes, no } => {
                self.expr(condition);
                self.expr(yes);
                self.expr(no);
            }
            ExprKind::Literal(members) => members.iter().for_each(|(_, member)| self.expr(member)),
            ExprKind::Comprehension { names, value, target, condition } => {
                names.iter().for_each(|name| self.bind(name));
                self.expr(value);
                self.expr(target);
                condition.iter().for_each(|condition| self.expr(condition));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::rename;

    #[test]
    fn whole_names_in_tags_are_renamed_and_nothing_else() {
        for (source, renamed) in [
            ("a é {{ a }} {{a.a}} {{ b[a] }} {{ aa }}", "a é {{ who }} {{who.a}} {{ b[who] }} {{ aa }}"),
            ("{% if a and not x.a %}a{% endif %}", "{% if who and not x.a %}a{% endif %}"),
            ("{{ b | default(value=a) }}{{ 'a' ~ a }}", "{{ b | default(value=who) }}{{ 'a' ~ who }}"),
            ("{% for x in a %}{{ x }}{% endfor %}{# a #}", "{% for x in who %}{{ x }}{% endfor %}{# a #}"),
            ("{% raw %}{{ a }}{% endraw %}{{ (a) }}", "{% raw %}{{ a }}{% endraw %}{{ (who) }}"),
        ] {
            assert_eq!(rename(source, "a", "who").as_deref(), Some(renamed));
        }
    }

    #[test]
    fn nothing_is_renamed_where_a_name_means_something_else_too() {
        for source in [
            "{{ a }}{% for a in b %}{{ a }}{% endfor %}",
            "{{ a }}{% set a = 1 %}",
            "{{ a }}{% set who = 1 %}",
            "{% for who in b %}{{ a }}{% endfor %}",
            "{{ a }}{{ who }}",
            "{{ b }}",
            "{{ a",
        ] {
            assert_eq!(rename(source, "a", "who"), None, "{source}");
        }
        for to in ["", "1a", "a b", "a.b", "é"] {
            assert_eq!(rename("{{ a }}", "a", to), None, "{to}");
        }
    }
}
