/**
 * The words that rows are put together from. Quotes, backslashes, braces, accents, right-to-left text and
 * signs outside the basic plane are among them on purpose: they break careless escaping and cutting.
 */

/** As the person writes it, and as it stands in an address. */
type Name = readonly [written: string, ascii: string]

export const FIRST_NAMES: readonly Name[] = [
  ['Ada', 'ada'],
  ['Amélie', 'amelie'],
  ['Bilal', 'bilal'],
  ['Chidi', 'chidi'],
  ['Dolores', 'dolores'],
  ['Emre', 'emre'],
  ['Fatima', 'fatima'],
  ['George', 'george'],
  ['Hanna', 'hanna'],
  ['Ines', 'ines'],
  ['José', 'jose'],
  ['Kwame', 'kwame'],
  ['Łukasz', 'lukasz'],
  ['Mei', 'mei'],
  ['Nadia', 'nadia'],
  ['Oskar', 'oskar'],
  ['Priya', 'priya'],
  ['Quentin', 'quentin'],
  ['Ruth', 'ruth'],
  ['Søren', 'soren'],
  ['Tomás', 'tomas'],
  ['Ursula', 'ursula'],
  ['Víctor', 'victor'],
  ['Wanjiru', 'wanjiru'],
  ['Yuki', 'yuki'],
  ['Zoë', 'zoe'],
  ['健太', 'kenta'],
  ['Ольга', 'olga'],
  ['ليلى', 'layla'],
  ['Θάλεια', 'thaleia'],
]

export const LAST_NAMES: readonly Name[] = [
  ["O'Brien", 'obrien'],
  ['Müller', 'mueller'],
  ['Okafor', 'okafor'],
  ['Nguyễn', 'nguyen'],
  ['García', 'garcia'],
  ['Kowalczyk', 'kowalczyk'],
  ['Haddad', 'haddad'],
  ['Svensson', 'svensson'],
  ['Patel', 'patel'],
  ['D’Angelo', 'dangelo'],
  ['Çelik', 'celik'],
  ['Novák', 'novak'],
  ['Smith-Jones', 'smithjones'],
  ['van der Berg', 'vanderberg'],
  ['Mwangi', 'mwangi'],
  ['Ito', 'ito'],
  ['Strauß', 'strauss'],
  ['Pereira', 'pereira'],
  ['Brown', 'brown'],
  ['Dubois', 'dubois'],
  ['Kim', 'kim'],
  ['Ivanova', 'ivanova'],
]

export const SKILLS = ['billing', 'shipping', 'api', 'mobile', 'español', 'deutsch', 'refunds', 'hardware']
export const THEMES = ['light', 'dark', 'system']
export const LOCALES = ['en-GB', 'en-US', 'de-DE', 'fr-FR', 'es-ES', 'ja-JP', 'pt-BR']
export const CITIES = [
  'Lisbon',
  'Köln',
  'Nairobi',
  'Kraków',
  'Osaka',
  'São Paulo',
  'Cork',
  'Montréal',
  'Izmir',
]
export const STREETS = ['Mill Lane', 'Harbour Street', 'Am Alten Markt', 'Rue de l’Église', 'Station Road']
export const COUNTRIES = ['PT', 'DE', 'KE', 'PL', 'JP', 'BR', 'IE', 'CA', 'TR']

export const TEAMS: readonly (readonly [name: string, does: string])[] = [
  ['First line', 'Reads everything that comes in and answers what it can.'],
  ['Billing', 'Invoices, refunds and payment plans.'],
  ['Shipping', 'Parcels that are late, lost or broken.'],
  ['Accounts', 'Sign-in, permissions and people who join or leave.'],
  ['Integrations', 'The API, webhooks and everything with a log file.'],
  ['Hardware', 'Devices, spare parts and firmware.'],
  ['Returns', 'Decides what is taken back, and in which state.'],
  ['Night shift', 'Answers while the others sleep 🌙.'],
  ['Escalations', 'Takes over when a promise was broken.'],
]

export const TAGS = [
  'bug',
  'question',
  'refund',
  'invoice',
  'shipping',
  'login',
  'api',
  'mobile',
  'feature request',
  'vip',
  'duplicate',
  'data export',
  'security',
  'warranty',
  'rückfrage',
  'très urgent',
  '返品',
  'how-to',
  'outage',
  'praise 🎉',
]

export const ARTICLES = [
  'Desk lamp, oak',
  'USB-C cable 2 m',
  'Notebook A5 "dotted"',
  'Thermal mug 0.4 l',
  'Wall hook {set of 4}',
  'Bicycle bell',
  'Café filter No. 4',
  'Rain cover XL',
  'Tool roll',
  'Wool blanket 140 × 200',
  'Gift card',
  'Water bottle',
  'Head torch 300 lm',
  'Pencil, HB',
  'Shelf 80 cm',
]

export const THINGS = [
  'invoice for March',
  'weekly report',
  'mobile app',
  'password reset',
  'delivery',
  'discount code',
  'export to CSV',
  'two-factor login',
  'calendar sync',
  'webhook',
  'search page',
  'order confirmation',
  'printer driver',
  'address book',
  'refund',
  'user list',
]

export const TROUBLES = [
  'never arrived',
  'shows the wrong total',
  'stops at 99 %',
  'says "not found"',
  'came twice',
  'is empty',
  'crashes since the update',
  'takes more than a minute',
  'is in the wrong language',
  'forgets what I typed',
  'asks for a permission that I have',
  'works for my colleague, not for me',
]

/** Whole subjects in other languages, for about one ticket in twelve. */
export const FOREIGN_SUBJECTS = [
  'Rechnung für März fehlt – bitte prüfen',
  'Je n’arrive plus à me connecter 😕',
  '請求書がまだ届いていません',
  'لا أستطيع تسجيل الدخول إلى حسابي',
  'Не приходит письмо с подтверждением',
  'Mi pedido llegó roto ¿qué hago?',
  'Δεν λειτουργεί η αναζήτηση',
  'Faktura została wysłana dwa razy',
]

export const GREETINGS = [
  'Hello,',
  'Hi there,',
  'Good morning,',
  'Dear team,',
  'Hi 👋,',
  'Guten Tag,',
  'To whom it may concern,',
]

export const SENTENCES = [
  'It worked until last week.',
  'I have tried it in two browsers and on my phone.',
  'The file is at C:\\Users\\me\\exports\\{latest}.csv, and it has 0 bytes.',
  'The message says: "Something went wrong", and nothing else.',
  'Nobody else in our office has this.',
  'We need it before the end of the month, or the auditors will ask.',
  'A screenshot is attached.',
  'I can call you if that is easier.',
  'It isn’t urgent, but it’s annoying.',
  'Reloading the page helps for about five minutes.',
  'Support told us on the phone that this was fixed.',
  'The amount should be 1.234,50 € rather than 1,234.50 €.',
  'After I click on Save, the page goes back to the start & my text is gone.',
  'Could you tell me who changed it?',
  'It happens with names like Strauß, Nguyễn and 田中.',
  'Please do not just close this again.',
]

export const CLOSINGS = [
  'Thanks!',
  'Kind regards',
  'Thank you for your help 🙏',
  'Viele Grüße',
  'Best',
  'Merci d’avance',
]

export const ANSWERS = [
  'Thank you for writing to us. Could you tell me which version you use?',
  'I have found it: the job that sends these had stopped. It is running again.',
  'This is fixed now. Please reload the page once.',
  'I am handing this over to my colleagues, who know this part better.',
  'Sorry for the wait. Your refund is on its way and takes two to three days.',
  'That is how it works at the moment, but I have written down your wish.',
  'Can you send us the file? Up to 20 MB is fine.',
]

export const REPLIES = [
  'Yes, still the same today.',
  'That did it, thank you! 🎉',
  'Version 4.2.1, on a phone.',
  'No, the message is still there: "Something went wrong".',
  'I have sent it by mail.',
  'Any news?',
  '了解しました。ありがとうございます。',
  'OK',
]

export const NOTES = [
  'Same cause as the ticket from yesterday, see the log of the mail job.',
  'Customer is on the old plan; do not promise a date.',
  'Checked the payment: it was booked twice by the bank.',
  'Called back, nobody answered. Trying again tomorrow.',
]
