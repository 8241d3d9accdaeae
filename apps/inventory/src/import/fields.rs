//! The columns each model understands, under the names people give them.

use crate::catalog::Model;

/// A field that an import can fill.
#[derive(Debug)]
pub(super) struct Field {
    /// The name in rejections, and always accepted in a header.
    pub(super) name: &'static str,
    /// The name in messages, in Portuguese.
    pub(super) title: &'static str,
    /// Further header names, [folded](fold).
    aliases: &'static [&'static str],
    /// Whether a file must have the column.
    pub(super) required: bool,
}

const fn required(
    name: &'static str,
    title: &'static str,
    aliases: &'static [&'static str],
) -> Field {
    Field {
        name,
        title,
        aliases,
        required: true,
    }
}

const fn optional(
    name: &'static str,
    title: &'static str,
    aliases: &'static [&'static str],
) -> Field {
    Field {
        name,
        title,
        aliases,
        required: false,
    }
}

pub(super) const SKU: Field = required(
    "sku",
    "SKU",
    &[
        "codigo",
        "cod",
        "codigo_do_produto",
        "product_sku",
        "referencia",
    ],
);
pub(super) const NAME: Field = required(
    "name",
    "nome",
    &["nome", "produto", "nome_do_produto", "product_name"],
);
pub(super) const DESCRIPTION: Field =
    optional("description", "descrição", &["descricao", "detalhes"]);
pub(super) const CATEGORY: Field = required(
    "category",
    "categoria",
    &["categoria", "grupo", "category_name"],
);
pub(super) const BRAND: Field = optional("brand", "marca", &["marca", "fabricante", "brand_name"]);
pub(super) const COST_PRICE: Field = required(
    "cost_price",
    "preço de custo",
    &[
        "preco_de_custo",
        "preco_custo",
        "custo",
        "cost",
        "valor_de_custo",
    ],
);
pub(super) const PRICE: Field = required(
    "price",
    "preço de venda",
    &[
        "preco",
        "preco_de_venda",
        "preco_venda",
        "selling_price",
        "valor",
        "valor_de_venda",
    ],
);
pub(super) const STOCK: Field = optional(
    "quantity",
    "quantidade",
    &["quantidade", "qtd", "qtde", "estoque", "saldo", "stock"],
);
pub(super) const QUANTITY: Field = required(
    "quantity",
    "quantidade",
    &["quantidade", "qtd", "qtde", "unidades", "units"],
);
pub(super) const UNIT_PRICE: Field = optional(
    "unit_price",
    "preço unitário",
    &["preco_unitario", "valor_unitario", "preco", "price"],
);
pub(super) const SOLD_AT: Field = optional(
    "sold_at",
    "data da venda",
    &["data_da_venda", "vendido_em", "data", "date"],
);
pub(super) const KIND: Field = required(
    "kind",
    "tipo",
    &["tipo", "tipo_de_movimento", "movimento", "operacao", "type"],
);
pub(super) const NOTE: Field = optional(
    "note",
    "observação",
    &["observacao", "obs", "motivo", "reason"],
);
pub(super) const MOVED_AT: Field = optional(
    "moved_at",
    "data do movimento",
    &["data_do_movimento", "movimentado_em", "data", "date"],
);

/// The fields of a model, in the order of its messages.
pub(super) const fn of(model: Model) -> &'static [Field] {
    match model {
        Model::Product => &[
            SKU,
            NAME,
            DESCRIPTION,
            CATEGORY,
            BRAND,
            COST_PRICE,
            PRICE,
            STOCK,
        ],
        Model::Category | Model::Brand => &[NAME, DESCRIPTION],
        Model::Sale => &[SKU, QUANTITY, UNIT_PRICE, SOLD_AT],
        Model::StockMovement => &[SKU, KIND, QUANTITY, NOTE, MOVED_AT],
    }
}

/// Columns that this program's own exports have, but that a file cannot decide. They are skipped,
/// so that an export can be imported elsewhere as it is.
const fn computed(model: Model) -> &'static [&'static str] {
    match model {
        Model::Product => &[
            "id",
            "criado_em",
            "created_at",
            "atualizado_em",
            "updated_at",
        ],
        Model::Category | Model::Brand => {
            &["id", "produtos", "products", "criado_em", "created_at"]
        }
        Model::Sale => &["id", "produto", "product", "total"],
        Model::StockMovement => &["id", "produto", "product"],
    }
}

/// What a column's header means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// The field with this index in [`of`].
    Field(usize),
    /// Known, and of no use to an import.
    Computed,
    /// Not known.
    Unknown,
}

/// The meaning of a header's column for a model.
pub(super) fn recognise(model: Model, header: &str) -> Column {
    let folded = fold(header);
    let field = of(model)
        .iter()
        .position(|field| field.name == folded || field.aliases.contains(&folded.as_str()));
    match field {
        Some(index) => Column::Field(index),
        None if computed(model).contains(&folded.as_str()) => Column::Computed,
        None => Column::Unknown,
    }
}

/// A header in the form in which it is compared: `Preço de  Custo (R$)` is `preco_de_custo`.
fn fold(header: &str) -> String {
    let header = header.split('(').next().unwrap_or_default();
    let mut folded = String::new();
    for c in header.chars().flat_map(char::to_lowercase) {
        let c = match c {
            'á' | 'à' | 'â' | 'ã' | 'ä' => 'a',
            'é' | 'è' | 'ê' | 'ë' => 'e',
            'í' | 'ì' | 'î' | 'ï' => 'i',
            'ó' | 'ò' | 'ô' | 'õ' | 'ö' => 'o',
            'ú' | 'ù' | 'û' | 'ü' => 'u',
            'ç' => 'c',
            // Accents written as characters of their own, as macOS does in file and column names.
            '\u{300}'..='\u{36f}' => continue,
            c => c,
        };
        if c.is_alphanumeric() {
            folded.push(c);
        } else if !folded.is_empty() && !folded.ends_with('_') {
            folded.push('_');
        }
    }
    folded.truncate(folded.trim_end_matches('_').len());
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_compared_without_case_accents_and_punctuation() {
        for (header, folded) in [
            ("SKU", "sku"),
            (" Preço de  Custo (R$) ", "preco_de_custo"),
            ("preco-custo", "preco_custo"),
            ("Descric\u{327}a\u{303}o", "descricao"),
            ("", ""),
            ("***", ""),
        ] {
            assert_eq!(fold(header), folded, "{header:?}");
        }
    }

    #[test]
    fn no_name_means_two_fields_of_one_model() {
        for model in Model::ALL {
            let mut seen = Vec::new();
            for field in of(model) {
                for name in field.aliases.iter().chain([&field.name]) {
                    assert!(!seen.contains(name), "{model}: {name} is taken");
                    assert_eq!(fold(name), **name, "an alias must be in folded form");
                    seen.push(name);
                }
            }
            for name in computed(model) {
                assert!(!seen.contains(name), "{model}: {name} is taken");
            }
        }
    }
}
