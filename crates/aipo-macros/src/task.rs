//! Step 1 of a task's life: a function becomes a type of the same name that implements `aipo::Task`.
//!
//! The function stays as it was; the type takes its name in the namespace of types. What else is
//! needed stands in an anonymous constant, where it can't collide with the user's names. After it:
//! `aipo/src/task/call.rs`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{Error, Ident, Result, parse2};

use crate::args::implementation;
use crate::function::{Function, Output, Parameters};
use crate::options::Options;

/// `#[task(…)]`.
pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut function: Function = match parse2(item) {
        Ok(function) => function,
        Err(error) => return error.into_compile_error(),
    };
    let task = Task::read(attribute, &mut function);
    // The function is given back even if it can't be a task: else every mention of it would be one
    // more error, and not the one to mend.
    let task = match task {
        Ok(task) => task.expand(&function),
        Err(error) => error.into_compile_error(),
    };
    quote!(#function #task)
}

/// A task that passed every check.
struct Task {
    options: Options,
    parameters: Parameters,
    output: Output,
}

impl Task {
    /// Reads all parts, so that one build tells what is wrong with each of them.
    fn read(attribute: TokenStream, function: &mut Function) -> Result<Self> {
        let options = parse2(attribute);
        let checked = function.check();
        let parameters = function.parameters();
        let output = function.output();
        let (((options, ()), parameters), output) =
            both(both(both(options, checked), parameters), output)?;
        Ok(Self {
            options,
            parameters,
            output,
        })
    }

    fn expand(&self, function: &Function) -> TokenStream {
        let name = &function.sig.ident;
        let vis = &function.vis;
        let docs = function.attributes("doc");
        // Both halves exist, or neither; and whoever uses either is told that it is deprecated.
        let conditions: Vec<_> = function.attributes("cfg").collect();
        let deprecated: Vec<_> = function.attributes("deprecated").collect();
        let used_here = deprecated.iter().map(
            |_| quote!(#[allow(deprecated, reason = "the task is, its own expansion is not")]),
        );

        let (args, args_type) = self.args();
        let implementation = self.implementation(function, &args_type);
        let constructors = self.constructors(function, &args_type);
        quote_spanned! {Span::mixed_site()=>
            #(#conditions)*
            #(#docs)*
            #(#deprecated)*
            #[allow(non_camel_case_types, reason = "a task has the name of its function")]
            #[derive(::aipo::__private::Clone, ::aipo::__private::Copy)]
            #vis struct #name {}

            #(#conditions)*
            #(#used_here)*
            const _: () = {
                #args
                #implementation
                #constructors
            };
        }
    }

    /// The type of its arguments, and its name.
    fn args(&self) -> (Option<TokenStream>, TokenStream) {
        let args = &self.parameters.args;
        if args.is_empty() {
            return (None, quote!(()));
        }
        let name = Ident::new("__Args", Span::mixed_site());
        let fields = args.iter().map(|arg| {
            let (ident, ty) = (&arg.ident, &arg.ty);
            quote!(#ident: #ty)
        });
        let implementation = implementation(&name, args);
        let definition = quote_spanned! {Span::mixed_site()=>
            // As public as `Task::Args` has to be; nobody can name what an anonymous constant holds.
            pub struct #name { #(#fields),* }
            #implementation
        };
        (Some(definition), quote!(#name))
    }

    /// `impl aipo::Task`.
    fn implementation(&self, function: &Function, args_type: &TokenStream) -> TokenStream {
        let name = &function.sig.ident;
        let output = &self.output.ty;
        let task_name = match &self.options.name {
            Some(given) => quote!(#given),
            None => {
                let function = name.unraw().to_string();
                quote!(::aipo::__private::task_name!(#function))
            }
        };
        let options = self.options();
        let base = self.options.base.as_ref().map(|base| {
            quote_spanned! {Span::mixed_site()=>
                fn base(&self) -> ::aipo::__private::Option<
                    ::aipo::__private::Arc<dyn ::aipo::Base>
                > {
                    ::aipo::__private::base(#base)
                }
            }
        });
        let run = self.run(function, args_type);
        quote_spanned! {Span::mixed_site()=>
            impl ::aipo::Task for #name {
                const NAME: &'static str = #task_name;
                type Args = #args_type;
                type Output = #output;
                #options
                #base
                #run
            }
        }
    }

    fn options(&self) -> Option<TokenStream> {
        let settings = &self.options.settings;
        if settings.is_empty() {
            return None;
        }
        Some(quote_spanned! {Span::mixed_site()=>
            fn options() -> ::aipo::TaskOptions {
                let mut options: ::aipo::TaskOptions = ::aipo::__private::Default::default();
                #(options.#settings;)*
                options
            }
        })
    }

    /// `Task::run`: calls the function, on a thread of its own if it is a plain one.
    fn run(&self, function: &Function, args_type: &TokenStream) -> TokenStream {
        let name = &function.sig.ident;
        let cx = Ident::new("cx", Span::mixed_site());
        let args = Ident::new("args", Span::mixed_site());
        let fields = self.parameters.args.iter().map(|arg| &arg.ident);
        let context = self.parameters.context.then(|| quote!(#cx,));
        let is_async = function.sig.asyncness.is_some();

        let mut value = quote!(#name(#context #(#args.#fields),*));
        if is_async {
            value = quote!(#value.await);
        }
        let mut answer = match self.output.fallible {
            // An error that is none is reported where the user wrote it.
            Some(span) => {
                let span = Span::mixed_site().located_at(span);
                let map = quote_spanned!(span=> .map_err(::aipo::TaskError::from));
                quote!(#value #map)
            }
            None => quote!(::aipo::__private::Ok(#value)),
        };
        if !is_async {
            let inner = if self.parameters.context {
                quote!(#cx)
            } else {
                quote!(_)
            };
            answer = quote!(::aipo::__private::blocking(#cx, move |#inner| #answer).await);
        }
        // A future that can't move between threads is reported at the function's name.
        quote_spanned! {Span::mixed_site().located_at(name.span())=>
            async fn run(
                &self,
                #cx: &::aipo::Context,
                #args: #args_type,
            ) -> ::aipo::TaskResult<Self::Output> {
                #answer
            }
        }
    }

    /// What the type itself offers: a call, and the task.
    fn constructors(&self, function: &Function, args_type: &TokenStream) -> TokenStream {
        let name = &function.sig.ident;
        let vis = &function.vis;
        let output = &self.output.ty;
        let args = &self.parameters.args;
        let idents: Vec<_> = args.iter().map(|arg| &arg.ident).collect();
        let types = args.iter().map(|arg| &arg.ty);
        let value = if args.is_empty() {
            quote!(())
        } else {
            quote!(#args_type { #(#idents),* })
        };
        let call_doc = format!("A call of `{name}` with these arguments, not yet sent.");
        let docs = &self.parameters.docs;
        let heading = (!docs.is_empty()).then(|| quote!(#[doc = ""]));
        let partial = self.partial(function);
        quote_spanned! {Span::mixed_site()=>
            #[allow(dead_code, reason = "a sender needs the call only, a worker the task only")]
            impl #name {
                #[doc = #call_doc]
                #heading
                #(#[doc = #docs])*
                #vis fn s(#(#idents: #types),*) -> ::aipo::Call<#output> {
                    ::aipo::Call::of::<Self>(#value)
                }

                #partial

                /// The task itself, to register it with an app.
                #vis const fn task() -> Self {
                    Self {}
                }
            }
        }
    }
}

impl Task {
    /// A call without the first parameter, where that can be given by position.
    fn partial(&self, function: &Function) -> Option<TokenStream> {
        let (first, rest) = self.parameters.args.split_first()?;
        if !first.is_positional() {
            return None;
        }
        let name = &function.sig.ident;
        let vis = &function.vis;
        let output = &self.output.ty;
        let taken = &first.ty;
        let idents = rest.iter().map(|arg| &arg.ident);
        let types = rest.iter().map(|arg| &arg.ty);
        let ident = |name| Ident::new(name, Span::mixed_site());
        let (args, kwargs) = (ident("args"), ident("kwargs"));
        let writes = rest.iter().map(|arg| {
            let ident = &arg.ident;
            arg.write(quote!(#ident), &args, &kwargs)
        });
        let doc = format!(
            "A call of `{name}` without `{}`, which the step before it in a workflow gives.",
            first.ident.unraw()
        );
        Some(quote_spanned! {Span::mixed_site()=>
            #[doc = #doc]
            #vis fn p(#(#idents: #types),*) -> ::aipo::Call<#output, ::aipo::Takes<#taken>> {
                ::aipo::__private::partial::<Self, #taken>(move |#args, #kwargs| {
                    let _ = (&#args, &#kwargs);
                    #(#writes)*
                    ::aipo::__private::Ok(())
                })
            }
        })
    }
}

/// Both, or the errors of both.
fn both<A, B>(a: Result<A>, b: Result<B>) -> Result<(A, B)> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(mut error), Err(other)) => {
            Error::combine(&mut error, other);
            Err(error)
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}
