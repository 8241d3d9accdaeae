//! Arguments: the fields of `#[derive(TaskArgs)]` and the parameters of `#[task]`, which come to the
//! same implementation of `aipo::TaskArgs`.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Fields, Ident, Meta, Result, Token, Type,
    TypeReference,
};

/// One argument.
pub(crate) struct Arg {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    /// An expression for its value when a message leaves it out.
    default: Option<TokenStream>,
}

/// `#[derive(TaskArgs)]`.
pub(crate) fn derive(input: DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            input.generics,
            "`TaskArgs` can't be generic: a task has one type of arguments",
        ));
    }
    let name = &input.ident;
    let fields = match input.data {
        Data::Struct(data) => data.fields,
        Data::Enum(_) | Data::Union(_) => {
            let message =
                "`TaskArgs` is for structs with named fields: one field for each argument";
            return Err(Error::new(name.span(), message));
        }
    };
    if let Fields::Unnamed(_) = fields {
        let message = "`TaskArgs` needs named fields, because a message may name its arguments";
        return Err(Error::new_spanned(fields, message));
    }
    if fields.is_empty() {
        let message = "a task without arguments takes `()`: write `type Args = ();`";
        return Err(Error::new(name.span(), message));
    }
    let mut args: Vec<Arg> = Vec::new();
    for field in fields {
        // A field of a struct with named fields has a name.
        let Some(ident) = field.ident else { continue };
        let default = default_of(&field.attrs)?;
        args.push(Arg::new(ident, field.ty, default, args.last())?);
    }
    Ok(implementation(name, &args))
}

impl Arg {
    /// Checks that a message can fill it.
    pub(crate) fn new(
        ident: Ident,
        ty: Type,
        default: Option<TokenStream>,
        previous: Option<&Arg>,
    ) -> Result<Self> {
        refuse_borrowed(&ty, "arguments come from a message: take")?;
        if default.is_none()
            && let Some(optional) = previous.filter(|previous| previous.default.is_some())
        {
            let (before, after) = (&optional.ident, &ident);
            let message = format!(
                "`{after}` has no default but follows `{before}`, which has one: callers by position \
                 could never leave `{before}` out"
            );
            return Err(Error::new(ident.span(), message));
        }
        Ok(Self { ident, ty, default })
    }

    /// An expression that reads it.
    fn read(&self, reader: &Ident) -> TokenStream {
        let name = self.ident.unraw().to_string();
        let ty = &self.ty;
        // A type that can't be read is reported where the user wrote it, and so is a wrong default.
        let span = Span::mixed_site().located_at(ty.span());
        match &self.default {
            Some(value) => quote_spanned!(span=> #reader.optional(#name, || -> #ty { #value })?),
            None => quote_spanned!(span=> #reader.required(#name)?),
        }
    }

    /// An expression that writes it.
    fn write(&self) -> TokenStream {
        let ident = &self.ident;
        let span = Span::mixed_site().located_at(self.ty.span());
        quote_spanned!(span=> ::aipo::__private::to_value(self.#ident)?)
    }
}

/// Implements `aipo::TaskArgs` for a struct with these fields.
pub(crate) fn implementation(name: &Ident, args: &[Arg]) -> TokenStream {
    let reader = Ident::new("reader", Span::mixed_site());
    let idents = args.iter().map(|arg| &arg.ident);
    let reads = args.iter().map(|arg| arg.read(&reader));
    let writes = args.iter().map(Arg::write);
    quote_spanned! {Span::mixed_site()=>
        #[automatically_derived]
        impl ::aipo::TaskArgs for #name {
            fn decode(
                mut #reader: ::aipo::ArgsReader<'_>,
            ) -> ::aipo::__private::Result<Self, ::aipo::BadArguments> {
                let args = Self { #(#idents: #reads),* };
                #reader.finish()?;
                ::aipo::__private::Ok(args)
            }

            fn encode(self) -> ::aipo::__private::JsonResult<
                ::aipo::__private::Vec<::aipo::__private::Value>
            > {
                ::aipo::__private::Ok(::aipo::__private::vec![#(#writes),*])
            }
        }
    }
}

/// The expression that `#[arg(default)]` or `#[arg(default = …)]` stands for.
pub(crate) fn default_of(attributes: &[Attribute]) -> Result<Option<TokenStream>> {
    let mut default = None;
    for attribute in attributes.iter().filter(|attribute| is_arg(attribute)) {
        if let Meta::Path(_) | Meta::NameValue(_) = attribute.meta {
            let message = "write `#[arg(default)]` or `#[arg(default = value)]`";
            return Err(Error::new_spanned(attribute, message));
        }
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("default") {
                return Err(meta.error("unknown option: write `default` or `default = value`"));
            }
            if default.is_some() {
                return Err(meta.error("the default is given twice"));
            }
            default = Some(if meta.input.peek(Token![=]) {
                meta.value()?.parse::<Expr>()?.into_token_stream()
            } else {
                let span = Span::mixed_site().located_at(meta.path.span());
                quote_spanned!(span=> ::aipo::__private::Default::default())
            });
            Ok(())
        })?;
    }
    Ok(default)
}

/// Whether an attribute is `#[arg(…)]`.
pub(crate) fn is_arg(attribute: &Attribute) -> bool {
    attribute.path().is_ident("arg")
}

/// Refuses a type that borrows, with `advice` before the name of a better one: a value that comes from
/// a message, or goes into one, has nothing to borrow from.
pub(crate) fn refuse_borrowed(ty: &Type, advice: &str) -> Result<()> {
    let instead = match plain(ty) {
        Type::Reference(reference) => owned(reference),
        _ => None,
    };
    let message = match instead {
        Some((owned, borrowed)) => format!("{advice} a `{owned}` instead of a `{borrowed}`"),
        None => format!("{advice} an owned type, without references"),
    };
    match borrows(quote!(#ty)) {
        Some(_) if matches!(plain(ty), Type::Reference(_)) => Err(Error::new_spanned(ty, message)),
        Some(span) => Err(Error::new(span, message)),
        None => Ok(()),
    }
}

/// The type that is meant, where it came through a `macro_rules` macro or in parentheses.
pub(crate) fn plain(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => plain(&group.elem),
        Type::Paren(paren) => plain(&paren.elem),
        _ => ty,
    }
}

/// For a well-known borrowed type its owned one, and the borrowed as people call it.
fn owned(reference: &TypeReference) -> Option<(&'static str, &'static str)> {
    match plain(&reference.elem) {
        Type::Slice(_) => Some(("Vec<T>", "&[T]")),
        Type::Path(path) => match path.path.segments.last()?.ident.to_string().as_str() {
            "str" => Some(("String", "&str")),
            "Path" => Some(("PathBuf", "&Path")),
            _ => None,
        },
        _ => None,
    }
}

/// Where a type holds a reference or a lifetime other than `'static`.
fn borrows(tokens: TokenStream) -> Option<Span> {
    let mut quoted = None;
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                if let Some(span) = borrows(group.stream()) {
                    return Some(span);
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == '&' => return Some(punct.span()),
            TokenTree::Punct(punct) if punct.as_char() == '\'' => quoted = Some(punct.span()),
            TokenTree::Ident(name) if quoted.is_some() && name != "static" => return quoted,
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => quoted = None,
        }
    }
    None
}
