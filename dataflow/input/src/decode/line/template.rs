//! Format strings of servers: nginx `log_format`, Apache `LogFormat`, Envoy and HAProxy.
//!
//! A format string is text with variables. [`super::dialect`] reads each server's own way of writing
//! them; here they become steps: what is in quotes or brackets is one value, a request line written
//! as method, target and protocol is one, and anything else ends where the text behind it begins.
//! Variables that no field of the record takes are passed over. What cannot be read back for
//! certain, such as two variables with nothing between them, is refused with the place.

use super::dialect::{Hint, Piece, Var};
use super::{Shape, Step, Steps};
use crate::decode::record::Field;

/// A format string character by character.
#[derive(Clone, Debug)]
enum Token {
    Char(char),
    Var(Var),
}

/// Steps of the pieces of a format string.
///
/// # Errors
/// What cannot be read back, in words.
pub(super) fn steps(pieces: Vec<Piece>) -> Result<Steps, String> {
    let tokens = unique(tokens(pieces));
    let (mut steps, mut before, mut at) = (Vec::new(), String::new(), 0);
    while let Some(token) = tokens.get(at) {
        let (field, shape, next) = match token {
            Token::Char(open @ ('"' | '[')) => match group(&tokens, at, *open) {
                Some((field, next)) => {
                    let shape = if *open == '"' { Shape::Quoted } else { Shape::Bracketed };
                    (field, shape, next)
                }
                None => {
                    before.push(*open);
                    at += 1;
                    continue;
                }
            },
            Token::Char(char) => {
                push(&mut before, *char);
                at += 1;
                continue;
            }
            Token::Var(var) => bare(&tokens, at, var)?,
        };
        steps.push(Step { before: std::mem::take(&mut before).into_bytes(), field, shape });
        at = next;
    }
    check(&steps)?;
    let needed = steps.len();
    Ok(Steps { steps, tail: before.into_bytes(), needed, open: false })
}

/// Blanks count as one.
fn push(text: &mut String, char: char) {
    let char = if char == '\t' { ' ' } else { char };
    if !(char == ' ' && text.ends_with(' ')) {
        text.push(char);
    }
}

fn tokens(pieces: Vec<Piece>) -> Vec<Token> {
    let mut tokens = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => tokens.extend(text.chars().map(Token::Char)),
            Piece::Var(var) => tokens.push(Token::Var(var)),
        }
    }
    tokens
}

/// Of several variables for one field the first that says it best counts; the others are passed.
fn unique(mut tokens: Vec<Token>) -> Vec<Token> {
    let once = |field: &Field| {
        matches!(
            field,
            Field::Host
                | Field::ResponseBytes
                | Field::Duration(_)
                | Field::Ip
                | Field::Ts(_)
                | Field::Status
        )
    };
    let mut seen: Vec<std::mem::Discriminant<Field>> = Vec::new();
    for token in &mut tokens {
        let Token::Var(var) = token else { continue };
        // The parts of one time stand together and are joined later.
        if !once(&var.field) || var.hint == Hint::TimePart {
            continue;
        }
        let kind = std::mem::discriminant(&var.field);
        if seen.contains(&kind) {
            var.field = Field::Skip;
        } else {
            seen.push(kind);
        }
    }
    tokens
}

/// The field of what is between quotes or brackets, if it is one value, and where it ends.
fn group(tokens: &[Token], at: usize, open: char) -> Option<(Field, usize)> {
    let close = if open == '[' { ']' } else { '"' };
    let is_close = |token: &Token| matches!(token, Token::Char(char) if *char == close);
    let len = tokens[at + 1..].iter().position(is_close)?;
    let inside = &tokens[at + 1..at + 1 + len];
    Some((whole(inside)?, at + 1 + len + 1))
}

/// The field that tokens are together.
fn whole(tokens: &[Token]) -> Option<Field> {
    let vars: Vec<&Var> = tokens
        .iter()
        .filter_map(|token| match token {
            Token::Var(var) => Some(var),
            Token::Char(_) => None,
        })
        .collect();
    match &vars[..] {
        [] => None,
        [var] if tokens.len() == 1 => Some(var.field.clone()),
        [first, ..] if first.hint == Hint::Scheme => Some(Field::Url),
        [first, rest @ ..]
            if first.field == Field::Method
                && rest.iter().any(|var| matches!(var.field, Field::Url | Field::Path)) =>
        {
            Some(Field::RequestLine)
        }
        [first, rest @ ..]
            if matches!(first.field, Field::Path)
                && rest.iter().all(|var| var.field == Field::Query || var.hint == Hint::IsArgs) =>
        {
            Some(Field::Url)
        }
        all if all.iter().all(|var| matches!(var.field, Field::Ts(_))) => Some(Field::Ts(None)),
        [first, rest @ ..]
            if first.field == Field::Host && rest.iter().all(|var| var.hint == Hint::Port) =>
        {
            Some(Field::Host)
        }
        _ => None,
    }
}

/// A variable without quotes: its field, where it ends, and the token behind it.
fn bare(tokens: &[Token], at: usize, var: &Var) -> Result<(Field, Shape, usize), String> {
    let joins = |token: &&Token| match token {
        Token::Var(_) => true,
        Token::Char(char) => ":/?.-".contains(*char),
    };
    let len = tokens[at..].iter().take_while(joins).count();
    let word = &tokens[at..at + len];
    let begins_value = matches!(var.hint, Hint::Scheme)
        || matches!(var.field, Field::Path) && word.len() > 1
        || var.hint == Hint::TimePart && word.len() > 1;
    if begins_value && let Some(field) = whole(word) {
        let shape = match tokens.get(at + len) {
            None | Some(Token::Char(' ' | '\t')) => Shape::Word,
            Some(Token::Char(char)) if char.is_ascii() => Shape::Until(*char as u8),
            Some(_) => Shape::Rest,
        };
        return Ok((field, shape, at + len));
    }
    let shape = match (tokens.get(at + 1), tokens.get(at + 2)) {
        _ if var.hint == Hint::Braced => Shape::Braced,
        (None, _) => match var.hint {
            Hint::List => Shape::List,
            _ => Shape::Rest,
        },
        (Some(Token::Char(' ' | '\t')), _) => match var.hint {
            Hint::Words(count) => Shape::Words(count),
            Hint::List => Shape::List,
            _ if var.field == Field::RequestLine => Shape::Words(3),
            _ if var.field == Field::User => behind(tokens, at + 1),
            _ => Shape::Word,
        },
        (Some(Token::Char(':')), Some(Token::Var(next))) if next.hint == Hint::Port => {
            Shape::BeforeLast(b':')
        }
        (Some(Token::Char(char)), _) if char.is_ascii() => Shape::Until(*char as u8),
        (Some(Token::Var(next)), _) if matches!(next.field, Field::Url | Field::Path) => {
            Shape::Until(b'/')
        }
        _ => {
            return Err(format!(
                "`{}` cannot be told from what follows it: put a blank or a quote between",
                var.name
            ));
        }
    };
    Ok((var.field.clone(), shape, at + 1))
}

/// The end of a value that may have blanks: the text behind it, if that is more than a blank.
fn behind(tokens: &[Token], at: usize) -> Shape {
    let mut text = String::new();
    for token in &tokens[at..] {
        match token {
            Token::Char(char) => push(&mut text, *char),
            Token::Var(_) => break,
        }
    }
    // Of a long text the beginning tells enough.
    text.truncate(2.min(text.len()));
    if text.len() < 2 || !text.is_ascii() { Shape::Word } else { Shape::Before(text.into_bytes()) }
}

/// A record needs a time, a method and a path.
fn check(steps: &[Step]) -> Result<(), String> {
    let has = |any: &[&dyn Fn(&Field) -> bool]| {
        steps.iter().any(|step| any.iter().any(|is| is(&step.field)))
    };
    let line = |field: &Field| *field == Field::RequestLine;
    for (found, what) in [
        (has(&[&|field| matches!(field, Field::Ts(_) | Field::Started | Field::Clock)]), "time"),
        (has(&[&line, &|field| *field == Field::Method]), "method or request line"),
        (has(&[&line, &|field| matches!(field, Field::Url | Field::Path)]), "path or request line"),
    ] {
        if !found {
            return Err(format!("it has no variable for the {what}"));
        }
    }
    Ok(())
}
