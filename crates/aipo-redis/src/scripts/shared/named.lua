
-- The texts among the arguments from `first` on, to look up. Each is an id as it stands in JSON, with its quotes.
local function texts_from(first)
  local texts = {}
  for index = first, #ARGV do
    texts[ARGV[index]] = true
  end
  return texts
end

-- Whether a message may be of a task with one of these ids: whether a value in it under a name that ends in "id" is one
-- of the texts. It may be so by chance; the caller looks closer. What an id has quotes in it ends at the first of them.
-- The time that it takes does not depend on how many texts there are.
local function names_one(raw, texts)
  local _, past = string.find(raw, 'id"', 1, true)
  while past do
    local text = string.match(raw, '^%s*:%s*("[^"]*")', past + 1)
    if text and texts[text] then
      return true
    end
    _, past = string.find(raw, 'id"', past + 1, true)
  end
  return false
end

