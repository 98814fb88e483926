// Plain everyday sentences: a small model with full attention should be able to answer them. Values are numbers of
// three digits or more, or words that filler text seldom has, so that a guess is not right by chance.
//
// Tested by recall_test.cc (the families are disjoint, each list is long enough).
#include "eval/forms/recall_templates.h"

namespace kedge {
namespace {

RecallTemplates Evaluation() {
  RecallTemplates templates;
  templates.question_last = "Here is a text.\n\n{t}\n\nAnswer from the text: {q}";
  templates.question_first = "{q} The answer is somewhere in this text.\n\n{t}\n\nNow answer the question above.";
  templates.question_middle =
      "I am putting together a small report, and one thing is still missing. {q} I copy the whole page here, since I "
      "could not find it myself.\n\n\"\"\"\n{t}\n\"\"\"";
  templates.begun = "Here is a text.\n\n{t}\n\nTo repeat: {q}";
  templates.pair = "two questions.\n1. {a}\n2. {b}";
  templates.several = "all of these questions, in a numbered list.";
  templates.facts = {
      {.sentence = "The account number of the {s} is {v}.",
       .question = "What is the account number of the {s}?",
       .subjects = {"bakery", "hospital", "orchestra", "cinema", "pharmacy", "hotel", "brewery", "theatre"}},
      {.sentence = "The captain of the ship {s} is called {v}.",
       .question = "What is the captain of the ship {s} called?",
       .subjects = {"Aurora", "Meridian", "Sparrow", "Victory", "Horizon", "Pelican", "Comet", "Neptune"},
       .values = {"Hartmann", "Okafor", "Lindqvist", "Morales", "Petrov", "Delgado", "Fitzgerald", "Yamamoto",
                  "Kowalski", "Andersen"}},
      {.sentence = "The village of {s} is famous for its {v}.",
       .question = "What is the village of {s} famous for?",
       .subjects = {"Brenholt", "Calder", "Dunmore", "Elkwood", "Farley", "Greyford", "Hollins", "Ivybridge"},
       .values = {"pottery", "honey", "waterfalls", "violins", "carpets", "mushrooms", "windmills", "candles", "roses",
                  "cheese"}},
      {.sentence = "The {s} museum was founded in the year {v}.",
       .question = "In which year was the {s} museum founded?",
       .subjects = {"railway", "clock", "textile", "glass", "maritime", "toy", "tobacco", "postal"},
       .values = {"1612", "1648", "1703", "1729", "1754", "1786", "1817", "1839", "1863", "1891"}},
      {.sentence = "Professor {s} grows {v} in the university garden.",
       .question = "What does Professor {s} grow in the university garden?",
       .subjects = {"Abbott", "Benson", "Crawford", "Dawson", "Ellis", "Fletcher", "Gibson", "Harper"},
       .values = {"tomatoes", "orchids", "pumpkins", "tulips", "strawberries", "cabbages", "sunflowers", "onions",
                  "lavender", "carrots"}},
      {.sentence = "The password of the {s} network is {v}.",
       .question = "What is the password of the {s} network?",
       .subjects = {"guest", "office", "workshop", "harbour", "campus", "airport", "stadium", "clinic"},
       .values = {"bluebird", "hurricane", "pineapple", "moonlight", "crocodile", "snowflake", "lighthouse",
                  "dragonfly", "cinnamon", "volcano"}},
      {.sentence = "The parcel for {s} weighs {v} grams.",
       .question = "How many grams does the parcel for {s} weigh?",
       .subjects = {"Alice", "Benjamin", "Charlotte", "Daniel", "Eleanor", "Frederick", "Gabriela", "Henry"},
       .digits = 3},
      {.sentence = "The {s} expedition reached the island of {v}.",
       .question = "Which island did the {s} expedition reach?",
       .subjects = {"Norwegian", "Portuguese", "Canadian", "Japanese", "Brazilian", "Turkish", "Polish", "Chilean"},
       .values = {"Santorini", "Madagascar", "Tasmania", "Zanzibar", "Iceland", "Corsica", "Jamaica", "Greenland",
                  "Mauritius", "Sardinia"}},
      {.sentence = "The ticket for the {s} ferry costs {v} crowns.",
       .question = "How many crowns does the ticket for the {s} ferry cost?",
       .subjects = {"morning", "evening", "lakeside", "western", "mountain", "island", "weekend", "holiday"},
       .digits = 3},
      {.sentence = "The key to the {s} cupboard lies behind the {v}.",
       .question = "Where does the key to the {s} cupboard lie?",
       .subjects = {"kitchen", "linen", "silver", "spice", "wine", "broom", "china", "music"},
       .values = {"barometer", "accordion", "aquarium", "typewriter", "tapestry", "globe", "hourglass", "samovar",
                  "birdcage", "telescope"}},
      {.sentence = "The {s} prize was awarded to a poem about {v}.",
       .question = "What was the poem about that was awarded the {s} prize?",
       .subjects = {"Ashworth", "Belmont", "Cavendish", "Drummond", "Everett", "Farnham", "Garrick", "Holloway"},
       .values = {"glaciers", "lightning", "chess", "pigeons", "tides", "comets", "deserts", "mirrors", "foxes",
                  "thunder"}},
      {.sentence = "Signal box {s} controls {v} switches.",
       .question = "How many switches does signal box {s} control?",
       .subjects = {"Uniform", "Victor", "Yankee", "Oscar", "Quebec", "Romeo", "Whiskey", "Lima"},
       .digits = 3},
  };
  templates.tables = {
      {.head = "| Boat | Owner | Berth number |\n|---|---|---|\n",
       .line = "| {s} | {o} | {v} |\n",
       .question = "In the table of boats, what is the berth number of {s}?",
       .subjects = {"Albatross", "Bonanza", "Cormorant", "Dolores", "Esmeralda", "Fortuna", "Gallant", "Heron"},
       .others = {"Quinn", "Rowe", "Sato", "Tobin", "Ueda", "Vance", "Webb", "Young"}},
      {.head = "| Species | Habitat | Number seen |\n|---|---|---|\n",
       .line = "| {s} | {o} | {v} |\n",
       .question = "In the table of species, what is the number seen of the {s}?",
       .subjects = {"badger", "kestrel", "lynx", "marten", "osprey", "pheasant", "squirrel", "weasel"},
       .others = {"forest", "meadow", "marsh", "cliff", "river", "heath", "dunes", "field"},
       .digits = 3},
  };
  templates.codes = {
      {.head = "```python\n",
       .line = "{s} = {v}\n",
       .tail = "```\n",
       .question = "In the code, what is the value of {s}?",
       .subjects = {"RETRY_LIMIT", "CACHE_PAGES", "HEADER_BYTES", "MAX_CLIENTS", "POLL_INTERVAL", "QUEUE_LENGTH",
                    "ROUND_TRIPS", "SAMPLE_RATE"},
       .others = {""}},
      {.head = "```javascript\n",
       .line = "  set(\"{s}\", {v});\n",
       .tail = "```\n",
       .question = "To which number does the code set \"{s}\"?",
       .subjects = {"margin", "opacity", "brightness", "velocity", "tolerance", "curvature", "density", "threshold"},
       .others = {""},
       .digits = 3},
  };
  return templates;
}

RecallTemplates Calibration() {
  RecallTemplates templates;
  templates.question_last = "{t}\n\n{q}";
  templates.question_first = "I have a question: {q}\n\nRead this.\n\n{t}\n\nWhat is the answer to my question?";
  templates.begun = "{t}\n\n{q}";
  templates.pair = "Please answer both: {a} {b}";
  templates.facts = {
      {.sentence = "The locker number of {s} is {v}.",
       .question = "What is the locker number of {s}?",
       .subjects = {"Amelia", "Boris", "Celine", "Dmitri", "Esther", "Franco", "Greta", "Hassan"}},
      {.sentence = "The {s} bridge is {v} metres long.",
       .question = "How many metres long is the {s} bridge?",
       .subjects = {"iron", "stone", "northern", "covered", "royal", "military", "wooden", "southern"},
       .digits = 3},
      {.sentence = "The winner of the {s} race was {v}.",
       .question = "Who was the winner of the {s} race?",
       .subjects = {"bicycle", "sailing", "marathon", "swimming", "horse", "rowing", "skiing", "balloon"},
       .values = {"Bergstrom", "Castellano", "Dubois", "Eriksen", "Ferrari", "Gonzales", "Huang", "Ivanov", "Jankowski",
                  "Karlsson"}},
      {.sentence = "The dog of the {s} is named {v}.",
       .question = "What is the name of the dog of the {s}?",
       .subjects = {"butcher", "teacher", "plumber", "gardener", "dentist", "barber", "lawyer", "farmer"},
       .values = {"Biscuit", "Shadow", "Pepper", "Domino", "Ginger", "Rocket", "Whisky", "Maple", "Pluto", "Tango"}},
      {.sentence = "The telephone extension of the {s} department is {v}.",
       .question = "What is the telephone extension of the {s} department?",
       .subjects = {"finance", "marketing", "legal", "research", "transport", "security", "catering", "archive"}},
      {.sentence = "The conference on {s} takes place in {v}.",
       .question = "In which city does the conference on {s} take place?",
       .subjects = {"astronomy", "chemistry", "geology", "linguistics", "medicine", "economics", "botany", "robotics"},
       .values = {"Toronto", "Nairobi", "Helsinki", "Lisbon", "Bangkok", "Santiago", "Warsaw", "Melbourne", "Cairo",
                  "Dublin"}},
      {.sentence = "The secret ingredient of the {s} is {v}.",
       .question = "What is the secret ingredient of the {s}?",
       .subjects = {"soup", "pudding", "stew", "pancake", "salad", "omelette", "pie", "curry"},
       .values = {"nutmeg", "saffron", "ginger root", "rosemary", "vanilla", "mustard", "coconut", "paprika", "basil",
                  "almonds"}},
      {.sentence = "Order {s} was delivered to warehouse {v}.",
       .question = "To which warehouse was order {s} delivered?",
       .subjects = {"Alpha", "Bravo", "Delta", "Echo", "Foxtrot", "Kilo", "Sierra", "Zulu"},
       .digits = 3},
  };
  templates.tables = {
      {.head = "| Tool | Shelf | Stock |\n|------|-------|-------|\n",
       .line = "| {s} | {o} | {v} |\n",
       .question = "How large is the stock of the {s} in the table?",
       .subjects = {"hammer", "ladder", "chisel", "shovel", "wrench", "pliers", "drill", "anvil"},
       .others = {"A1", "B2", "C3", "D4", "E5", "F6", "G7", "H8"},
       .digits = 3},
      {.head = "| Player | Points | Team |\n|--------|--------|------|\n",
       .line = "| {s} | {v} | {o} |\n",
       .question = "How many points does {s} have in the table?",
       .subjects = {"Iris", "Jonas", "Katya", "Leon", "Mira", "Nils", "Olga", "Paulo"},
       .others = {"red", "blue", "green", "white", "black", "yellow", "brown", "grey"}},
  };
  templates.codes = {
      {.head = "```ini\n[server]\n",
       .line = "{s} = {v}\n",
       .tail = "```\n",
       .question = "What is {s} set to in the configuration?",
       .subjects = {"listen_port", "idle_seconds", "disk_quota", "log_lines", "mail_batch", "page_width",
                    "thread_count", "zoom_level"},
       .others = {""}},
      {.head = "```c\n",
       .line = "#define {s} {v}\n",
       .tail = "```\n",
       .question = "Which value does the code define for {s}?",
       .subjects = {"BUFFER_SIZE", "FRAME_COUNT", "KEY_LENGTH", "NODE_BUDGET", "STACK_DEPTH", "TABLE_ROWS",
                    "WINDOW_HEIGHT", "UPLOAD_MAX"},
       .others = {""},
       .digits = 3},
  };
  return templates;
}

}  // namespace

const RecallTemplates& TemplatesOf(RecallFamily family) {
  static const RecallTemplates* const evaluation = new RecallTemplates(Evaluation());
  static const RecallTemplates* const calibration = new RecallTemplates(Calibration());
  return family == RecallFamily::kEvaluation ? *evaluation : *calibration;
}

}  // namespace kedge
