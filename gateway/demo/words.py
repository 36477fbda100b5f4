"""The words the demo's records are made of: people, companies, places and courses, all invented."""

from typing import Final, NamedTuple

FIRST_NAMES: Final = (
    "Ada", "Amir", "Anna", "Ben", "Bilal", "Carla", "Chidi", "Clara", "Daniel", "Elif", "Emma", "Farah",
    "Finn", "Grace", "Hana", "Hugo", "Imran", "Ines", "Jack", "Jonas", "Karim", "Lena", "Leo", "Lucia",
    "Maya", "Mei", "Nadia", "Noah", "Olga", "Omar", "Priya", "Rosa", "Sam", "Sofia", "Tariq", "Tessa",
    "Umar", "Vera", "Will", "Zoe",
)  # fmt: skip
LAST_NAMES: Final = (
    "Adeyemi", "Ali", "Baker", "Berg", "Brown", "Carter", "Costa", "Dawson", "Edwards", "Fischer", "Garcia",
    "Hassan", "Hughes", "Ivanova", "Jones", "Kaya", "Khan", "Larsen", "Lewis", "Martin", "Mensah", "Moreau",
    "Nowak", "Okafor", "Patel", "Price", "Rossi", "Schmidt", "Shah", "Silva", "Taylor", "Turner", "Walker",
    "Wong", "Yilmaz",
)  # fmt: skip
COMPANIES: Final = (
    "Alder Logistics", "Beacon Foods", "Birchwood Care", "Calder Rail", "Carrow Engineering",
    "Copper Lane Dental", "Dunmore Estates", "Eastgate College", "Fernhill Housing", "Foxglove Hotels",
    "Granite Insurance", "Harbour Marine", "Heron Software", "Ivybridge Council", "Juniper Energy",
    "Kestrel Aviation", "Larkfield Schools", "Lantern Retail", "Mallow Pharma", "Meridian Water",
    "Northbank Legal", "Oakridge Builders", "Pembury Motors", "Quayside Events",
    "Redwing Security", "Saltmarsh Fisheries",
    "Thornbury Steel", "Upland Dairy", "Violet Media",
)  # fmt: skip
TOWNS: Final = (
    "Bristol", "Cardiff", "Carlisle", "Edinburgh", "Exeter", "Glasgow", "Hull", "Lancaster", "Leeds",
    "Norwich", "Nottingham", "Preston", "Sheffield", "Swansea", "York",
)  # fmt: skip
VENUES: Final = (
    "Castle Street Training Rooms", "Mill Lane Centre", "Riverside House", "Station Approach Suite",
    "The Old Exchange", "Victoria Hall", "Virtual classroom",
)  # fmt: skip


class CourseIdea(NamedTuple):
    """A course as a catalogue prints it; `price` is pounds for one place."""

    code: str
    title: str
    category: str
    days: int
    price: int


COURSE_IDEAS: Final = (
    CourseIdea("FA-1", "Emergency First Aid at Work", "Health and safety", 1, 95),
    CourseIdea("FA-3", "First Aid at Work", "Health and safety", 3, 245),
    CourseIdea("FA-R", "First Aid Refresher", "Health and safety", 2, 165),
    CourseIdea("FS-1", "Fire Marshal", "Health and safety", 1, 110),
    CourseIdea("MH-1", "Manual Handling", "Health and safety", 1, 75),
    CourseIdea("WH-1", "Working at Height", "Health and safety", 1, 125),
    CourseIdea("RA-2", "Risk Assessment for Managers", "Health and safety", 2, 320),
    CourseIdea("FH-2", "Food Hygiene Level 2", "Food", 1, 85),
    CourseIdea("FH-3", "Food Hygiene Level 3", "Food", 3, 295),
    CourseIdea("AL-1", "Allergen Awareness", "Food", 1, 60),
    CourseIdea("PM-2", "Project Management Foundations", "Management", 2, 540),
    CourseIdea("PM-5", "Project Management Practitioner", "Management", 5, 1450),
    CourseIdea("LD-1", "First Steps in Leadership", "Management", 1, 280),
    CourseIdea("LD-3", "Leading Teams", "Management", 3, 790),
    CourseIdea("CO-1", "Difficult Conversations", "Management", 1, 260),
    CourseIdea("TM-1", "Managing Your Time", "Personal skills", 1, 190),
    CourseIdea("PS-1", "Presenting with Confidence", "Personal skills", 1, 230),
    CourseIdea("NE-2", "Negotiation Skills", "Personal skills", 2, 470),
    CourseIdea("XL-1", "Spreadsheets: the Basics", "Digital", 1, 150),
    CourseIdea("XL-2", "Spreadsheets: Reports and Charts", "Digital", 1, 175),
    CourseIdea("SQL-2", "Querying Data with SQL", "Digital", 2, 520),
    CourseIdea("PY-3", "Python for Analysts", "Digital", 3, 840),
    CourseIdea("DP-1", "Data Protection Essentials", "Compliance", 1, 140),
    CourseIdea("SG-1", "Safeguarding Level 1", "Compliance", 1, 90),
)
