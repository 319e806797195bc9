use crate::error::Result;
use crate::ffi;
use crate::handle::{c_text, c_text_or_none, collect, first, mode, pointer, sized};
use crate::model::Model;

/// One message of a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// "system", "user", "assistant", ...: what the template knows.
    pub role: &'a str,
    /// What was said.
    pub content: &'a str,
}

/// What a template is given beside the messages; transformer_chat_options tells of each.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct ChatOptions<'a> {
    /// Instead of messages: a JSON array of objects, for tool calls and content of several parts.
    pub messages_json: Option<&'a str>,
    pub tools_json: Option<&'a str>,
    pub documents_json: Option<&'a str>,
    pub variables_json: Option<&'a str>,
    pub template_name: Option<&'a str>,
    pub template_text: Option<&'a str>,
    /// Seconds from 1970-01-01 00:00 to the date and time of day where you are; 0: none is told.
    pub local_time: i64,
    /// End with what begins the model's answer; by default so.
    pub add_generation_prompt: Option<bool>,
}

impl Model {
    /// Messages as the prompt that the model's own chat template makes of them. Tokenize it with add_special off and
    /// parse_special on.
    pub fn chat_format(&self, messages: &[Message<'_>], options: &ChatOptions<'_>) -> Result<String> {
        let texts = messages
            .iter()
            .map(|message| Ok((c_text(message.role)?, c_text(message.content)?)))
            .collect::<Result<Vec<_>>>()?;
        let ours_messages: Vec<_> = texts
            .iter()
            .map(|(role, content)| ffi::transformer_chat_message { role: role.as_ptr(), content: content.as_ptr() })
            .collect();
        let [messages_json, tools, documents, variables, name, template] = [
            c_text_or_none(options.messages_json)?,
            c_text_or_none(options.tools_json)?,
            c_text_or_none(options.documents_json)?,
            c_text_or_none(options.variables_json)?,
            c_text_or_none(options.template_name)?,
            c_text_or_none(options.template_text)?,
        ];
        let mut ours: ffi::transformer_chat_options = sized();
        ours.messages = first(&ours_messages);
        ours.n_messages = ours_messages.len() as i64;
        ours.messages_json = pointer(&messages_json);
        ours.tools_json = pointer(&tools);
        ours.documents_json = pointer(&documents);
        ours.variables_json = pointer(&variables);
        ours.template_name = pointer(&name);
        ours.template_text = pointer(&template);
        ours.local_time = options.local_time;
        ours.add_generation_prompt = mode(options.add_generation_prompt);
        // SAFETY: all texts outlive the call; collect gives a buffer of that capacity.
        let prompt = collect(|buffer: *mut u8, capacity, length| unsafe {
            ffi::transformer_chat_format(self.handle.get(), &ours, buffer.cast(), capacity, length)
        })?;
        Ok(String::from_utf8_lossy(&prompt).into_owned())
    }
}
