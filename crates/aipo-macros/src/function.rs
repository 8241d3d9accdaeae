//! The function under `#[task]`: what it takes and returns, and whether it can be a task at all.
//!
//! Its body is never parsed: whatever is wrong in there is the compiler's to report, and an editor that
//! completes half a line still sees the task.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt as _, quote};
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Error, Expr, FnArg, GenericArgument, Ident, Lit, Meta, Pat, PatType, PathArguments,
    Result, ReturnType, Signature, Token, Type, Visibility, parse_quote,
};

use crate::args::{Arg, ArgOptions, is_arg, plain, refuse_borrowed};

/// A free function.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    body: TokenStream,
}

/// What a function takes.
#[derive(Default)]
pub(crate) struct Parameters {
    /// Whether the first is the context.
    pub(crate) context: bool,
    /// The others.
    pub(crate) args: Vec<Arg>,
    /// The documentation of those that have one.
    pub(crate) docs: Vec<String>,
}

/// What a function returns.
pub(crate) struct Output {
    /// The type of the value.
    pub(crate) ty: Type,
    /// Where the type of the error stands, if there is one.
    pub(crate) fallible: Option<Span>,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let is_function = input.peek(Token![fn])
            || input.peek(Token![async])
            || input.peek(Token![unsafe])
            || input.peek(Token![extern])
            || input.peek(Token![const]) && !input.peek3(Token![:]);
        if !is_function {
            return Err(input.error(
                "`#[task]` goes on a free function; a type with fields implements `aipo::Task` itself",
            ));
        }
        Ok(Self {
            attrs,
            vis,
            sig: input.parse()?,
            body: input.parse()?,
        })
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self {
            attrs,
            vis,
            sig,
            body,
        } = self;
        tokens.append_all(quote!(#(#attrs)* #vis #sig #body));
    }
}

impl Function {
    /// The attributes of this name.
    pub(crate) fn attributes(&self, name: &str) -> impl Iterator<Item = &Attribute> {
        self.attrs
            .iter()
            .filter(move |attribute| attribute.path().is_ident(name))
    }

    /// Refuses what can't be a task.
    pub(crate) fn check(&self) -> Result<()> {
        let sig = &self.sig;
        let refuse = |what: &dyn ToTokens, message: &str| Err(Error::new_spanned(what, message));
        if let Some(constness) = &sig.constness {
            return refuse(constness, "a task can't be `const`: it runs in a worker");
        }
        if let Some(unsafety) = &sig.unsafety {
            return refuse(
                unsafety,
                "a task can't be `unsafe`: any message may start it",
            );
        }
        if let Some(abi) = &sig.abi {
            return refuse(abi, "a task can't be `extern`: a worker calls it as Rust");
        }
        if !sig.generics.params.is_empty() {
            return refuse(
                &sig.generics,
                "a task can't be generic: one name stands for one type of arguments",
            );
        }
        if let Some(variadic) = &sig.variadic {
            return refuse(variadic, "a task takes a fixed list of arguments");
        }
        Ok(())
    }

    /// What it takes. The attributes that only this macro understands are taken off the parameters.
    pub(crate) fn parameters(&mut self) -> Result<Parameters> {
        let mut parameters = Parameters::default();
        let mut problem: Option<Error> = None;
        for (index, input) in self.sig.inputs.iter_mut().enumerate() {
            if let Err(error) = parameters.take(index, input) {
                match &mut problem {
                    Some(problem) => problem.combine(error),
                    None => problem = Some(error),
                }
            }
        }
        problem.map_or(Ok(parameters), Err)
    }

    /// What it returns.
    pub(crate) fn output(&self) -> Result<Output> {
        let ReturnType::Type(_, returned) = &self.sig.output else {
            return Ok(Output {
                ty: parse_quote!(()),
                fallible: None,
            });
        };
        refuse_impl_trait(returned)?;
        let output = match result(returned)? {
            Some((ty, fallible)) => Output {
                ty,
                fallible: Some(fallible),
            },
            None => Output {
                ty: Type::clone(returned),
                fallible: None,
            },
        };
        refuse_borrowed(&output.ty, "results go into a message: return")?;
        Ok(output)
    }
}

impl Parameters {
    fn take(&mut self, index: usize, input: &mut FnArg) -> Result<()> {
        let parameter = match input {
            FnArg::Typed(parameter) => parameter,
            FnArg::Receiver(receiver) => {
                return Err(Error::new_spanned(
                    receiver,
                    "a task is a free function, without `self`; a type with fields implements \
                     `aipo::Task` itself",
                ));
            }
        };
        let attrs = std::mem::take(&mut parameter.attrs);
        let (own, others) = attrs
            .into_iter()
            .partition(|attr| is_arg(attr) || is_doc(attr));
        parameter.attrs = others;
        if let Some(mutable) = context(&parameter.ty) {
            return self.take_context(index, parameter, mutable, &own);
        }
        self.take_arg(parameter, &own)
    }

    fn take_context(
        &mut self,
        index: usize,
        parameter: &PatType,
        mutable: bool,
        own: &[Attribute],
    ) -> Result<()> {
        if mutable {
            let message = "the context is shared: take `&Context`";
            return Err(Error::new_spanned(&parameter.ty, message));
        }
        if index > 0 {
            let message = "the context must be the first parameter";
            return Err(Error::new_spanned(parameter, message));
        }
        if let Some(attribute) = own.iter().find(|attribute| is_arg(attribute)) {
            let message = "the context is no argument: it has no default";
            return Err(Error::new_spanned(attribute, message));
        }
        self.context = true;
        Ok(())
    }

    fn take_arg(&mut self, parameter: &PatType, own: &[Attribute]) -> Result<()> {
        let conditional =
            |attr: &&Attribute| attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr");
        if let Some(attribute) = parameter.attrs.iter().find(conditional) {
            return Err(Error::new_spanned(
                attribute,
                "an argument can't be conditional: senders and workers must agree on it",
            ));
        }
        let ident = name(&parameter.pat)?;
        refuse_impl_trait(&parameter.ty)?;
        let arg = Arg::new(
            ident.clone(),
            Type::clone(&parameter.ty),
            ArgOptions::read(own)?,
            self.args.last(),
        )?;
        self.docs.extend(documentation(ident, own));
        self.args.push(arg);
        Ok(())
    }
}

/// The name of a parameter, which is also the argument's in a message.
fn name(pattern: &Pat) -> Result<&Ident> {
    match pattern {
        Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => Ok(&name.ident),
        _ => Err(Error::new_spanned(
            pattern,
            "a task's parameter needs a plain name, because a message may name its arguments",
        )),
    }
}

/// For a reference to a context: whether it is a mutable one.
fn context(ty: &Type) -> Option<bool> {
    let Type::Reference(reference) = plain(ty) else {
        return None;
    };
    let Type::Path(path) = plain(&reference.elem) else {
        return None;
    };
    let last = path.path.segments.last()?;
    (last.ident == "Context").then_some(reference.mutability.is_some())
}

/// For a `Result` in any spelling: the type of its value, and where that of its error stands.
fn result(returned: &Type) -> Result<Option<(Type, Span)>> {
    let Type::Path(path) = plain(returned) else {
        return Ok(None);
    };
    let Some(last) = path.path.segments.last() else {
        return Ok(None);
    };
    if last.ident != "Result" && last.ident != "TaskResult" {
        return Ok(None);
    }
    let types: Vec<&Type> = match &last.arguments {
        PathArguments::AngleBracketed(generics) => {
            let types = generics.args.iter().filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            });
            types.collect()
        }
        PathArguments::None | PathArguments::Parenthesized(_) => Vec::new(),
    };
    let Some(value) = types.first() else {
        let message = "write out what the task returns, such as `Result<(), Error>`";
        return Err(Error::new_spanned(returned, message));
    };
    let error = types.get(1).map_or(last.ident.span(), |error| error.span());
    Ok(Some((Type::clone(value), error)))
}

fn refuse_impl_trait(ty: &Type) -> Result<()> {
    match find_impl(quote!(#ty)) {
        Some(span) => Err(Error::new(
            span,
            "a task can't be generic: write the type that goes over the wire instead of `impl Trait`",
        )),
        None => Ok(()),
    }
}

fn find_impl(tokens: TokenStream) -> Option<Span> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Group(group) => find_impl(group.stream()),
        TokenTree::Ident(name) if name == "impl" => Some(name.span()),
        TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => None,
    })
}

fn is_doc(attribute: &Attribute) -> bool {
    attribute.path().is_ident("doc")
}

/// A parameter's documentation as an item of a list.
fn documentation(name: &Ident, attributes: &[Attribute]) -> Option<String> {
    let lines: Vec<String> = attributes.iter().filter_map(doc_line).collect();
    let (name, text) = (name.unraw(), lines.join(" "));
    (!text.is_empty()).then(|| format!("- `{name}`: {text}"))
}

fn doc_line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(doc) = &attribute.meta else {
        return None;
    };
    let Expr::Lit(literal) = &doc.value else {
        return None;
    };
    match &literal.lit {
        Lit::Str(line) if is_doc(attribute) => Some(line.value().trim().to_owned()),
        _ => None,
    }
}
