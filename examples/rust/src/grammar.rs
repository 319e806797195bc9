use crate::error::{check, Result};
use crate::ffi;
use crate::handle::{c_text, mode, sized, Handle};
use crate::model::Model;

/// What texts there may be: immutable, for any number of sequences.
pub struct Grammar {
    pub(crate) handle: Handle<ffi::transformer_grammar>,
}

/// The three languages that grammars are written in.
#[derive(Clone, Copy, Debug)]
pub enum Language<'a> {
    /// A JSON Schema.
    JsonSchema(&'a str),
    /// A regular expression of the whole text.
    Regex(&'a str),
    /// Rules, of which the text matches `root` or the first.
    Ebnf(&'a str),
}

/// How far a text is one of a grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// No text of the grammar begins with it.
    None,
    /// One does, but it isn't one.
    Prefix,
    /// It is one.
    Whole,
}

/// Whether the text is brought to an end.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConstraintOptions {
    /// Of the text; 0: what the sequence has room for.
    pub max_tokens: i64,
    /// Within max_tokens the text is brought to its end.
    pub close: bool,
}

impl ConstraintOptions {
    pub(crate) fn ours(&self) -> ffi::transformer_constraint_options {
        let mut ours: ffi::transformer_constraint_options = sized();
        ours.max_tokens = self.max_tokens;
        ours.close = mode(Some(self.close));
        ours
    }
}

impl Model {
    /// A grammar for this model's tokens; with `whitespace` there may be any between the tokens of a JSON text.
    pub fn grammar(&self, language: Language<'_>, whitespace: bool) -> Result<Grammar> {
        let (Language::JsonSchema(text) | Language::Regex(text) | Language::Ebnf(text)) = language;
        let text = c_text(text)?;
        let mut ours: ffi::transformer_grammar_options = sized();
        match language {
            Language::JsonSchema(_) => ours.json_schema = text.as_ptr(),
            Language::Regex(_) => ours.regex = text.as_ptr(),
            Language::Ebnf(_) => ours.ebnf = text.as_ptr(),
        }
        ours.whitespace = mode(Some(whitespace));
        // SAFETY: the text outlives the call; the grammar keeps the model alive.
        let handle = Handle::make(ffi::transformer_grammar_destroy, |grammar| unsafe {
            ffi::transformer_grammar_create(self.handle.get(), &ours, grammar)
        })?;
        Ok(Grammar { handle })
    }
}

impl Grammar {
    /// How far a text is one of it.
    pub fn matches(&self, text: &str) -> Result<Match> {
        let mut made = 0;
        // SAFETY: both live.
        check(unsafe {
            ffi::transformer_grammar_match(self.handle.get(), text.as_ptr().cast(), text.len() as i64, &mut made)
        })?;
        Ok(match made {
            ffi::TRANSFORMER_MATCH_WHOLE => Match::Whole,
            ffi::TRANSFORMER_MATCH_PREFIX => Match::Prefix,
            _ => Match::None,
        })
    }
}
