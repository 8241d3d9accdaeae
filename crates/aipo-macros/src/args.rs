//! Arguments: the fields of `#[derive(TaskArgs)]` and the parameters of `#[task]`, which come to the
//! same implementation of `aipo::TaskArgs`.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Fields, Ident, Meta, Result, Token, Type,
    TypeReference,
};

/// One argument.
pub(crate) struct Arg {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    options: ArgOptions,
}

/// What `#[arg(…)]` says of an argument.
#[derive(Default)]
pub(crate) struct ArgOptions {
    how: How,
    /// An expression for its value when a message leaves it out.
    default: Option<TokenStream>,
}

/// How a message gives an argument.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum How {
    /// By position or by name.
    #[default]
    Positional,
    /// It is all that is given by position beyond the others.
    Rest,
    /// By name only.
    Named,
    /// It is all that is given by name beyond the others.
    NamedRest,
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
        let options = ArgOptions::read(&field.attrs)?;
        args.push(Arg::new(ident, field.ty, options, args.last())?);
    }
    Ok(implementation(name, &args))
}

impl Arg {
    /// Checks that a message can fill it.
    pub(crate) fn new(
        ident: Ident,
        ty: Type,
        options: ArgOptions,
        previous: Option<&Arg>,
    ) -> Result<Self> {
        refuse_borrowed(&ty, "arguments come from a message: take")?;
        if let Some(previous) = previous {
            let message = options.after(&ident, &previous.options, &previous.ident);
            if let Some(message) = message {
                return Err(Error::new(ident.span(), message));
            }
        }
        Ok(Self { ident, ty, options })
    }

    /// An expression that reads it.
    fn read(&self, reader: &Ident) -> TokenStream {
        let name = self.ident.unraw().to_string();
        let ty = &self.ty;
        // A type that can't be read is reported where the user wrote it, and so is a wrong default.
        let span = Span::mixed_site().located_at(ty.span());
        match (self.options.how, &self.options.default) {
            (How::Rest, _) => quote_spanned!(span=> #reader.rest(#name)?),
            (How::NamedRest, _) => quote_spanned!(span=> #reader.named_rest()?),
            (_, Some(value)) => {
                quote_spanned!(span=> #reader.optional(#name, || -> #ty { #value })?)
            }
            (_, None) => quote_spanned!(span=> #reader.required(#name)?),
        }
    }

    /// Whether a message can give it by its position alone.
    pub(crate) fn is_positional(&self) -> bool {
        self.options.how == How::Positional
    }

    /// A statement that writes it, from where `place` says.
    pub(crate) fn write(&self, place: TokenStream, args: &Ident, kwargs: &Ident) -> TokenStream {
        let name = self.ident.unraw().to_string();
        let span = Span::mixed_site().located_at(self.ty.span());
        let value = quote_spanned!(span=> ::aipo::__private::to_value);
        match self.options.how {
            How::Positional => quote_spanned!(span=> #args.push(#value(#place)?);),
            How::Rest => quote_spanned! {span=>
                for value in #place {
                    #args.push(#value(value)?);
                }
            },
            How::Named => quote_spanned! {span=>
                #kwargs.insert(::aipo::__private::From::from(#name), #value(#place)?);
            },
            How::NamedRest => quote_spanned!(span=> #kwargs.extend(#place);),
        }
    }

    /// Its entry in `TaskArgs::PARAMETERS`.
    fn parameter(&self) -> TokenStream {
        let name = self.ident.unraw().to_string();
        let required = self.options.default.is_none();
        quote!(::aipo::Parameter { name: #name, required: #required })
    }
}

impl ArgOptions {
    /// What stands in the `#[arg(…)]` of an argument.
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut options = Self::default();
        for attribute in attributes.iter().filter(|attribute| is_arg(attribute)) {
            if let Meta::Path(_) | Meta::NameValue(_) = attribute.meta {
                let message = "write `#[arg(default)]` or `#[arg(default = value)]`";
                return Err(Error::new_spanned(attribute, message));
            }
            attribute.parse_nested_meta(|meta| options.take(&meta))?;
        }
        if let (How::Rest | How::NamedRest, Some(default)) = (options.how, &options.default) {
            let message = "what takes the rest has no default: it is empty when there is none";
            return Err(Error::new_spanned(default, message));
        }
        Ok(options)
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let name = meta.path.get_ident().map(Ident::to_string);
        let how = match name.as_deref() {
            Some("default") => return self.take_default(meta),
            Some("rest") => How::Rest,
            Some("named") => How::Named,
            Some("named_rest") => How::NamedRest,
            _ => {
                let message = "unknown option: write `default`, `default = value`, `named`, `rest` or \
                               `named_rest`";
                return Err(meta.error(message));
            }
        };
        if self.how != How::Positional {
            return Err(meta.error("an argument is `named`, the `rest`, or the `named_rest`"));
        }
        self.how = how;
        Ok(())
    }

    fn take_default(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if self.default.is_some() {
            return Err(meta.error("the default is given twice"));
        }
        self.default = Some(if meta.input.peek(Token![=]) {
            meta.value()?.parse::<Expr>()?.into_token_stream()
        } else {
            let span = Span::mixed_site().located_at(meta.path.span());
            quote_spanned!(span=> ::aipo::__private::Default::default())
        });
        Ok(())
    }

    /// Why an argument can't follow another one.
    fn after(&self, ident: &Ident, previous: &Self, before: &Ident) -> Option<String> {
        let rank = |how| match how {
            How::Positional => 0,
            How::Rest => 1,
            How::Named => 2,
            How::NamedRest => 3,
        };
        match (previous.how, self.how) {
            (How::Positional, How::Positional)
                if previous.default.is_some() && self.default.is_none() =>
            {
                Some(format!(
                    "`{ident}` has no default but follows `{before}`, which has one: callers by \
                     position could never leave `{before}` out"
                ))
            }
            (How::Rest | How::Named, How::Positional) => Some(format!(
                "no position is left for `{ident}` after `{before}`: write `#[arg(named)]`"
            )),
            (How::Positional | How::Named, _) if rank(previous.how) <= rank(self.how) => None,
            (How::Rest, How::Named | How::NamedRest) => None,
            _ => Some(format!(
                "`{ident}` can't follow `{before}`: write first the arguments by position, then the \
                 `rest`, the `named` ones, the `named_rest`"
            )),
        }
    }
}

/// Implements `aipo::TaskArgs` for a struct with these fields.
pub(crate) fn implementation(name: &Ident, args: &[Arg]) -> TokenStream {
    let ident = |name| Ident::new(name, Span::mixed_site());
    let (reader, positional, named) = (ident("reader"), ident("args"), ident("kwargs"));
    let idents = args.iter().map(|arg| &arg.ident);
    let reads = args.iter().map(|arg| arg.read(&reader));
    let writes = args.iter().map(|arg| {
        let ident = &arg.ident;
        arg.write(
            quote_spanned!(Span::mixed_site()=> self.#ident),
            &positional,
            &named,
        )
    });
    let parameters = parameters(args);
    quote_spanned! {Span::mixed_site()=>
        #[automatically_derived]
        impl ::aipo::TaskArgs for #name {
            const PARAMETERS: ::aipo::Parameters = #parameters;

            fn decode(
                mut #reader: ::aipo::ArgsReader<'_>,
            ) -> ::aipo::__private::Result<Self, ::aipo::BadArguments> {
                ::aipo::__private::Ok(Self { #(#idents: #reads),* })
            }

            #[allow(unused_mut, reason = "not every task has arguments of both kinds")]
            fn encode(self) -> ::aipo::__private::JsonResult<(
                ::aipo::__private::Vec<::aipo::__private::Value>,
                ::aipo::__private::Map<::aipo::__private::String, ::aipo::__private::Value>,
            )> {
                let mut #positional = ::aipo::__private::Vec::new();
                let mut #named = ::aipo::__private::Map::new();
                #(#writes)*
                ::aipo::__private::Ok((#positional, #named))
            }
        }
    }
}

/// The value of `TaskArgs::PARAMETERS`.
fn parameters(args: &[Arg]) -> TokenStream {
    let of = |how| args.iter().filter(move |arg| arg.options.how == how);
    let positional = of(How::Positional).map(Arg::parameter);
    let named = of(How::Named).map(Arg::parameter);
    let rest = of(How::Rest).next().is_some();
    let named_rest = of(How::NamedRest).next().is_some();
    quote! {
        ::aipo::Parameters {
            positional: &[#(#positional),*],
            rest: #rest,
            named: &[#(#named),*],
            named_rest: #named_rest,
        }
    }
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
