/**
 * Singular and plural of the English words that tables are named with.
 *
 * Small on purpose: lists for what is irregular, rules for what is not, and a word that no rule knows
 * is left as it is. The names that follow from here are an API, so a rule is only ever added for words
 * that came out wrong before; a library would change names with its next version.
 */

const words = (list: string): ReadonlySet<string> => new Set(list.trim().split(/\s+/))

const UNCOUNTABLE = words(`
  news data metadata media series species equipment information money advice feedback furniture
  software hardware firmware stuff staff staffing traffic weather luggage knowledge research evidence
  music sheep fish deer aircraft`)

type Pairs = readonly (readonly [one: string, many: string])[]

const pairs = (list: string): Pairs =>
  list
    .trim()
    .split(/\s+/)
    .map((pair) => {
      const [one = '', many = ''] = pair.split('/')
      return [one, many]
    })

/** Irregular as whole words only: "axis" must not catch "taxis", nor "men" "specimen". */
const IRREGULAR_WORDS = pairs(`
  man/men salesman/salesmen chairman/chairmen postman/postmen craftsman/craftsmen spokesman/spokesmen
  foreman/foremen fireman/firemen policeman/policemen fisherman/fishermen middleman/middlemen ox/oxen
  foot/feet goose/geese axis/axes oasis/oases crisis/crises life/lives half/halves calf/calves loaf/loaves
  leaf/leaves elf/elves self/selves`)

/** Irregular at the end of longer words too: "grandchild", "hypothesis", "bookshelf". */
const IRREGULAR_ENDINGS = pairs(`
  person/people child/children woman/women tooth/teeth mouse/mice criterion/criteria phenomenon/phenomena
  quiz/quizzes matrix/matrices vertex/vertices appendix/appendices lysis/lyses diagnosis/diagnoses
  prognosis/prognoses thesis/theses synopsis/synopses emphasis/emphases shelf/shelves thief/thieves
  wolf/wolves knife/knives wife/wives`)

// "-o" takes "-es" in these, "-s" in all others; "-oes" loses "es" in these, "s" in all others.
const TAKES_OES = words(
  'hero superhero potato tomato echo veto torpedo cargo embargo domino mosquito volcano tornado buffalo',
)

// They end like a plural and are not one.
const SINGULAR_IN_S = words(`
  alias atlas bias canvas gas lens pancreas chaos ethos cosmos pathos texas kubernetes
  aws dns sms mms gps tls cms os ios pos`)

// They end like "status" or "analysis" and are plural.
const PLURAL_IN_US = words('menus gurus emus skus cpus gpus haikus bayous caribous')
const PLURAL_IN_IS = words('taxis skis kiwis apis uris wikis emojis kpis pois guis clis safaris alibis')

const IE_WORDS = words(`
  movie cookie tie necktie pie die lie zombie calorie brownie selfie rookie hoodie smoothie genie prairie`)
const USE_WORDS = words('use reuse abuse excuse refuse accuse fuse muse ruse')
const CHE_WORDS = words('cache niche ache headache avalanche psyche creche')
const HARD_CH = words('stomach epoch monarch tech mach')

/** 'tickets' → 'ticket'. `word` is one lower-case word; a word that is singular comes back as it is. */
export function singular(word: string): string {
  if (isUncountable(word) || SINGULAR_IN_S.has(word)) return word
  const irregular = irregularSingular(word)
  if (irregular) return irregular
  if (!word.endsWith('s') || word.length < 3 || word.endsWith('ss')) return word
  if (/[^aeo]us$/.test(word)) return PLURAL_IN_US.has(word) ? word.slice(0, -1) : word
  if (word.endsWith('is')) return PLURAL_IN_IS.has(word) ? word.slice(0, -1) : word
  return word.endsWith('es') ? singularOfEs(word) : word.slice(0, -1)
}

/** 'ticket' → 'tickets'. `word` is one lower-case singular word. */
export function plural(word: string): string {
  if (isUncountable(word)) return word
  const irregular = irregularPlural(word)
  if (irregular) return irregular
  if (/(?:[^aeiou]|qu)y$/.test(word)) return `${word.slice(0, -1)}ies`
  if (word.endsWith('o')) return TAKES_OES.has(word) ? `${word}es` : `${word}s`
  if (HARD_CH.has(word)) return `${word}s`
  return /(?:s|x|z|ch|sh)$/.test(word) ? `${word}es` : `${word}s`
}

/** 'news': one word for one and for many. */
export function isUncountable(word: string): boolean {
  return UNCOUNTABLE.has(word)
}

function singularOfEs(word: string): string {
  const withoutS = word.slice(0, -1)
  const withoutEs = word.slice(0, -2)
  if (word.endsWith('ies')) {
    return IE_WORDS.has(withoutS) || word.length < 5 ? withoutS : `${word.slice(0, -3)}y`
  }
  if (word.endsWith('oes')) return TAKES_OES.has(withoutEs) ? withoutEs : withoutS
  if (/ches$/.test(word)) return CHE_WORDS.has(withoutS) ? withoutS : withoutEs
  if (/(?:ss|sh|x|zz|tz)es$/.test(word)) return withoutEs
  if (/[^aeo]uses$/.test(word)) return USE_WORDS.has(withoutS) ? withoutS : withoutEs
  if (SINGULAR_IN_S.has(withoutEs) || withoutEs === 'iris') return withoutEs
  return withoutS
}

function irregularSingular(word: string): string | undefined {
  const whole = IRREGULAR_WORDS.find(([, many]) => word === many)
  if (whole) return whole[0]
  const ending = IRREGULAR_ENDINGS.find(([, many]) => word.endsWith(many))
  return ending && word.slice(0, -ending[1].length) + ending[0]
}

function irregularPlural(word: string): string | undefined {
  const whole = IRREGULAR_WORDS.find(([one]) => word === one)
  if (whole) return whole[1]
  const ending = IRREGULAR_ENDINGS.find(([one]) => word.endsWith(one))
  return ending && word.slice(0, -ending[0].length) + ending[1]
}
