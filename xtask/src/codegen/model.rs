//! What the emitter writes: structs, open enums and the types of their fields.

/// The variant that keeps words the document does not list.
pub(crate) const OTHER: &str = "Other";

/// The field that keeps keys the document does not list.
pub(crate) const EXTRA: &str = "extra";

/// One Rust item made from one schema.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    Struct(Struct),
    OpenEnum(OpenEnum),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Struct {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) fields: Vec<Field>,
    /// Unknown keys survive in a field `extra`.
    pub(crate) keeps_unknown: bool,
    /// Where its optional fields get setters.
    pub(crate) setters: Option<Setters>,
    /// Whether its options are listed as data.
    pub(crate) has_option_list: bool,
}

/// Which type has the setters of a struct.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Setters {
    /// The struct itself.
    Itself,
    /// A hand-written request that holds the struct, by its name in `crate::request`.
    Request(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    /// The key as the vendor writes it.
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) ty: Type,
    /// Required and never null; everything else is an `Option`.
    pub(crate) required: bool,
    /// Number or numeric text.
    pub(crate) lenient: bool,
    /// The struct would contain itself otherwise.
    pub(crate) boxed: bool,
    pub(crate) default: Option<DefaultValue>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OpenEnum {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) words: Vec<Word>,
}

/// A word of the vendor and the variant that stands for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Word {
    pub(crate) word: String,
    pub(crate) variant: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    Text,
    Secret,
    Bool,
    Int32,
    Int64,
    Number,
    /// Any JSON value.
    Any,
    /// An object with any keys and any values.
    AnyObject,
    /// An object with any keys and values of one type.
    Dict(Box<Type>),
    List(Box<Type>),
    /// An entry of a list that may be null.
    Nullable(Box<Type>),
    Named(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DefaultValue {
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(String),
    /// Enum and variant.
    Variant(String, String),
}

impl Item {
    pub(crate) fn name(&self) -> &str {
        match self {
            Item::Struct(item) => &item.name,
            Item::OpenEnum(item) => &item.name,
        }
    }
}
