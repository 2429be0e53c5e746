"""The words invented names are put together from; no real person or company is meant."""

from __future__ import annotations

GIVEN = {
    "en": [
        "Amelia",
        "Oliver",
        "Grace",
        "Harry",
        "Isla",
        "Arthur",
        "Freya",
        "Theodore",
        "Maya",
        "Leo",
        "Nora",
        "Hugo",
        "Ruby",
        "Felix",
        "Hazel",
        "Owen",
    ],
    "fr": [
        "Camille",
        "Étienne",
        "Chloé",
        "Mathis",
        "Léa",
        "Théo",
        "Manon",
        "Gaëtan",
        "Inès",
        "Raphaël",
        "Élodie",
        "Baptiste",
        "Zoé",
        "Noël",
        "Maëlle",
        "Rémi",
    ],
}
FAMILY = {
    "en": [
        "Ashworth",
        "Bexley",
        "Calloway",
        "Dunmore",
        "Ellery",
        "Fairbank",
        "Granger",
        "Holloway",
        "Kingsley",
        "Lockwood",
        "Marsden",
        "Penrose",
    ],
    "fr": [
        "Aubertin",
        "Bellerose",
        "Charpentier",
        "Delacourt",
        "Fontanel",
        "Garnier-Roux",
        "Lefèvre",
        "Marchandeau",
        "Pélissier",
        "Roussel",
        "Tessier",
        "Vaucluse",
    ],
}
FIRM = {
    "en": [
        "Alder",
        "Brook",
        "Cedar",
        "Dover",
        "Ember",
        "Fern",
        "Harbour",
        "Juniper",
        "Larch",
        "Meadow",
        "Orchard",
        "Quarry",
        "Rowan",
        "Silver",
        "Thistle",
        "Willow",
    ],
    "fr": [
        "Ardoise",
        "Bruyère",
        "Cèdre",
        "Dolmen",
        "Érable",
        "Fougère",
        "Garance",
        "Horizon",
        "Lavande",
        "Mistral",
        "Noisetier",
        "Orée",
        "Platane",
        "Romarin",
        "Sablière",
        "Tilleul",
    ],
}
TRADE = {
    "en": ["Foods", "Logistics", "Engineering", "Textiles", "Energy", "Instruments", "Joinery", "Packaging"],
    "fr": [
        "Agroalimentaire",
        "Logistique",
        "Ingénierie",
        "Textiles",
        "Énergie",
        "Instruments",
        "Menuiserie",
        "Emballages",
    ],
}
FORM = {"en": "Ltd", "fr": "SAS"}
INDUSTRY = ["Food", "Logistics", "Engineering", "Textiles", "Energy", "Instruments", "Construction", "Packaging"]
JOBS = {
    "en": ["Head of purchasing", "Managing director", "Plant manager", "IT manager", "Financial controller"],
    "fr": [
        "Responsable des achats",
        "Directrice générale",
        "Chef d’usine",
        "Responsable informatique",
        "Contrôleur de gestion",
    ],
}
PLACES = {
    "en": [("Bristol", "BS1 4DJ", "South West"), ("Leeds", "LS1 4AP", "North"), ("Norwich", "NR2 1TF", "East")],
    "fr": [
        ("Lyon", "69002", "Auvergne-Rhône-Alpes"),
        ("Nantes", "44000", "Pays de la Loire"),
        ("Lille", "59800", "Nord"),
    ],
}
STREETS = {
    "en": ["Mill Lane", "Station Road", "Castle Street"],
    "fr": ["rue des Tanneurs", "quai de la Fosse", "place du Marché"],
}
COUNTRY = {"en": "GB", "fr": "FR"}
CURRENCY = {"en": "GBP", "fr": "EUR"}
TEAMS = {"North": None, "South": None, "Key accounts": None}
USERS = [
    ("Margot Villeneuve", "margot@demo.example", "Key accounts", "manager", "fr"),
    ("Daniel Whitcombe", "daniel@demo.example", "North", "representative", "en"),
    ("Saskia Thorne", "saskia@demo.example", "North", "representative", "en"),
    ("Julien Castellan", "julien@demo.example", "South", "representative", "fr"),
    ("Apolline Mercœur", "apolline@demo.example", "South", "representative", "fr"),
]
PRODUCTS = [
    ("SENS-100", "Sensor kit", "Hardware", "420.00"),
    ("SENS-250", "Sensor kit, outdoor", "Hardware", "690.00"),
    ("GATE-10", "Gateway", "Hardware", "1150.00"),
    ("PLAT-S", "Platform, small sites", "Software", "2400.00"),
    ("PLAT-L", "Platform, large sites", "Software", "9800.00"),
    ("CARE-1", "Care plan, one year", "Service", "1800.00"),
    ("INST-1", "Installation day", "Service", "950.00"),
]
CALLS = {
    "en": [
        "Called about delivery times",
        "Asked for the new price list",
        "Introduced the outdoor kit",
        "Checked in after the installation",
    ],
    "fr": [
        "Appel au sujet des délais",
        "A demandé la nouvelle liste de prix",
        "Présentation du kit extérieur",
        "Suivi après l’installation",
    ],
}
