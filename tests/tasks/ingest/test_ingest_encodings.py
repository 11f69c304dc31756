"""Bytes come out as the text they were written as, or not at all."""

import codecs
import random
import tarfile
import time
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.ingest.cleaning.mojibake import mend_mojibake
from tasks.ingest.encodings.decoding import (
    Decoded,
    declared_charset,
    decode_document,
    stream_encoding,
    to_utf8,
)
from tasks.ingest.encodings.lines import lines_encoding
from tasks.ingest.reading.records import Reason
from tests.folders import shared_data

MIN_CONFIDENCE = 0.95
UDHR, INAUGURAL, LEE = "udhr_encodings", "us_inaugural", "lee"

# A language, its usual legacy encodings, and a page of sentences.
PAGES = {
    "French": (
        "cp1252 iso8859_1 iso8859_15 mac_roman cp850",
        "Le vieux phare éclaire encore la côte où les pêcheurs rentrent à l’aube.|"
        "Ma grand-mère préparait des crêpes très fines, dorées à la poêle.|"
        "L'été dernier, nous avons traversé la forêt à vélo malgré la chaleur.|"
        "Le garçon du café a déjà reçu trois commandes, mais personne ne s'inquiète.|"
        "Où étiez-vous passés pendant que l'orchestre jouait son dernier morceau ?",
    ),
    "German": (
        "cp1252 iso8859_1 mac_roman cp850",
        "Der Müller öffnet früh die Türen, damit die Bäcker ihr Mehl abholen können.|"
        "Über den Dächern der Stadt hörte man plötzlich die Glocken läuten.|"
        "Sie aß die größte Portion und wünschte allen einen schönen Abend.|"
        "Für die Straße nach Süden müssen wir noch ein paar Stunden einplanen.|"
        "Wer zuletzt kommt, räumt die Küche auf und löscht das Licht.",
    ),
    "Spanish": (
        "cp1252 iso8859_1",
        "El niño corrió detrás del balón hasta que llegó al río.|"
        "Mañana comenzará la función a las ocho, según nos dijo el señor del teatro.|"
        "¿Quién dejó la ventana abierta toda la noche?|"
        "La lluvia cayó sobre los tejados y nadie salió a la calle en todo el día.|"
        "Además del pan, compró también un kilo de limones y una sandía.",
    ),
    "Portuguese": (
        "cp1252 iso8859_1",
        "A estação fica atrás da padaria, e os trens não param depois das dez.|"
        "Minha irmã plantou feijão e maçãs no quintal da avó.|"
        "As crianças já estão cansadas, mas ninguém quer voltar à cidade.|"
        "O avião pousou com atraso por causa da tempestade no litoral.|"
        "Você não viu a chave que deixei sobre o balcão?",
    ),
    "Swedish": (
        "cp1252 iso8859_1",
        "På hösten går vi långt in i skogen för att plocka lingon och svamp.|"
        "Båten låg kvar vid ön när stormen drog in över sjön.|"
        "Hon frågade om tåget till Malmö var försenat även i dag.|"
        "Bröderna åt frukost på altanen och läste tidningen högt för varandra.|"
        "Det blåser kallt, så glöm inte att stänga fönstren på övervåningen.",
    ),
    "Polish": (
        "cp1250 iso8859_2 cp852",
        "Gdy zaszło słońce, dzieci wróciły do domu zmęczone, lecz szczęśliwe.|"
        "Sąsiad obiecał, że pożyczy nam drabinę i piłę do gałęzi.|"
        "Wśród książek na półce znalazłem list, którego nikt nigdy nie wysłał.|"
        "Może jutro pójdziemy nad rzekę, jeśli przestanie padać śnieg.|"
        "Żaden z gości nie zauważył, że zegar stoi od tygodnia.",
    ),
    "Czech": (
        "cp1250 iso8859_2 cp852",
        "Když přestalo pršet, vyšli jsme na kopec a dívali se na město.|"
        "Babička pekla každou neděli koláče s tvarohem a švestkami.|"
        "Vlak měl zpoždění, takže jsme čekali na nástupišti až do půlnoci.|"
        "Žádný z těch příběhů není úplně pravdivý, ale všechny jsou krásné.|"
        "Můj bratr si koupil kolo a teď jezdí do práce přes řeku.",
    ),
    "Hungarian": (
        "cp1250 iso8859_2 cp852",
        "A kertben már virágoznak a fák, és a méhek egész nap dolgoznak.|"
        "Nagyapám minden este mesélt egy történetet a régi időkről.|"
        "Tegnap későn értünk haza, mert elromlott a busz a hídon.|"
        "Kérem, csukja be az ajtót, mert hűvös szél fúj a folyosóról.|"
        "A könyvet, amelyet kölcsönadtál, még nem olvastam végig.",
    ),
    "Lithuanian": (
        "cp1257 iso8859_13",
        "Rytą virš ežero kilo rūkas, o žvejai jau ruošė savo tinklus.|"
        "Močiutė iškepė duoną ir padėjo ją ant palangės, kad atvėstų.|"
        "Šiandien mokykloje vaikai piešė žemėlapį ir mokėsi naujų žodžių.|"
        "Ar žinai, kur dingo raktas nuo mažosios spintelės?|"
        "Jei nelis, vakare eisime pėsčiomis iki senojo malūno.",
    ),
    "Turkish": (
        "cp1254 iso8859_9 cp857",
        "Akşam olunca balıkçılar kıyıya döndü ve ağlarını kuruttu.|"
        "Annem bahçedeki kirazları topladı, sonra hepimize reçel yaptı.|"
        "Otobüs gecikince öğrenciler yürüyerek okula gitmek zorunda kaldı.|"
        "Bu şehirde kışlar uzun, yazlar ise kısa ve serindir.|"
        "Kapıyı çalan kişinin kim olduğunu hâlâ öğrenemedik.",
    ),
    "Russian": (
        "cp1251 koi8_r iso8859_5 cp866 mac_cyrillic",
        "Рано утром рыбаки вышли в море, хотя погода не обещала ничего хорошего.|"
        "Бабушка хранила письма в старой шкатулке под кроватью.|"
        "Поезд опоздал на два часа, и мы успели выпить чаю на станции.|"
        "Дети построили крепость из снега и защищали её до самого вечера.|"
        "Никто не знал, куда ведёт эта узкая дорога за рекой.",
    ),
    "Ukrainian": (
        "cp1251 koi8_u",
        "Увечері над річкою стелився туман, і було чути, як співають жаби.|"
        "Дідусь розповідав нам про подорожі, яких, мабуть, ніколи не було.|"
        "Її сестра навчається у Львові та щотижня пише довгі листи.|"
        "Хлопці знайшли у лісі покинутий намет і повідомили лісника.|"
        "Завтра ми підемо на ярмарок, якщо не буде дощу.",
    ),
    "Greek": (
        "cp1253 iso8859_7",
        "Το καΐκι γύρισε στο λιμάνι λίγο πριν ξεσπάσει η μπόρα.|"
        "Η γιαγιά μου φύτευε βασιλικό σε κάθε γλάστρα της αυλής.|"
        "Τα παιδιά έπαιζαν μπάλα στον δρόμο μέχρι να νυχτώσει.|"
        "Δεν θυμάμαι πού άφησα τα κλειδιά του παλιού σπιτιού.|"
        "Αύριο το πρωί θα ανεβούμε στο βουνό για να δούμε την ανατολή.",
    ),
    "Hebrew": (
        "cp1255 iso8859_8",
        "הילדים שיחקו בחצר עד שירד הערב והאורות נדלקו ברחוב.|"
        "סבתא שלי אפתה לחם בכל יום שישי וחילקה אותו לשכנים.|"
        "הרכבת איחרה בשעה ולכן פספסנו את תחילת ההצגה.|"
        "מצאתי בספר ישן מכתב שמישהו כתב לפני שנים רבות.|"
        "מחר נצא לטיול בהרים אם מזג האוויר יהיה נאה.",
    ),
    "Arabic": (
        "cp1256 iso8859_6",
        "عاد الصيادون إلى الميناء قبل غروب الشمس وهم يحملون سلالا مليئة بالسمك.|"
        "كانت جدتي تزرع النعناع قرب باب البيت وتسقيه كل صباح.|"
        "تأخر القطار ساعتين فجلسنا في المحطة نشرب الشاي ونتحدث.|"
        "وجد الولد رسالة قديمة بين صفحات كتاب لم يفتحه أحد منذ سنين.|"
        "سنذهب غدا إلى السوق إذا توقف المطر.",
    ),
    "Thai": (
        "cp874 tis_620",
        "ชาวประมงกลับเข้าฝั่งก่อนฟ้ามืดพร้อมปลาเต็มเรือ|"
        "คุณยายปลูกต้นมะม่วงไว้ข้างบ้านตั้งแต่แม่ยังเด็ก|"
        "รถไฟมาช้ากว่ากำหนดสองชั่วโมง เราจึงนั่งดื่มกาแฟรอที่สถานี|"
        "เด็กๆ วิ่งเล่นในสนามจนถึงเย็นแล้วจึงกลับไปทำการบ้าน|"
        "พรุ่งนี้ถ้าฝนไม่ตก เราจะเดินขึ้นเขาไปดูพระอาทิตย์ขึ้น",
    ),
    "Chinese": (
        "gb2312 gbk gb18030",
        "天还没亮，渔民们就划着小船出海了。|"
        "外婆每年春天都会在院子里种一些西红柿和黄瓜。|"
        "火车晚点了两个小时，我们只好在车站喝茶聊天。|"
        "他在旧书里发现了一封多年以前没有寄出的信。|"
        "如果明天不下雨，我们就一起去山上看日出。",
    ),
    "Taiwanese": (
        "big5 cp950",
        "天還沒亮，漁夫們就划著小船出海了。|"
        "外婆每年春天都會在院子裡種一些番茄和黃瓜。|"
        "火車誤點了兩個小時，我們只好在車站喝茶聊天。|"
        "他在舊書裡發現了一封多年以前沒有寄出的信。|"
        "如果明天不下雨，我們就一起去山上看日出。",
    ),
    "Japanese": (
        "shift_jis cp932 euc_jp iso2022_jp",
        "夜が明ける前に、漁師たちは小さな舟で海へ出ていった。|"
        "祖母は毎年春になると庭にトマトときゅうりを植えていた。|"
        "電車が二時間も遅れたので、駅の喫茶店でお茶を飲みながら待った。|"
        "古い本のあいだから、出されなかった手紙が一通見つかった。|"
        "明日雨が降らなければ、みんなで山に登って日の出を見ましょう。",
    ),
    "Korean": (
        "euc_kr cp949",
        "날이 밝기도 전에 어부들은 작은 배를 타고 바다로 나갔다.|"
        "할머니는 해마다 봄이 되면 마당에 토마토와 오이를 심으셨다.|"
        "기차가 두 시간이나 늦어서 우리는 역에서 차를 마시며 기다렸다.|"
        "오래된 책 사이에서 부치지 않은 편지 한 통이 나왔다.|"
        "내일 비가 오지 않으면 다 같이 산에 올라가 해돋이를 보자.",
    ),
}
IN_ENCODINGS = [
    (language, encoding)
    for language, (encodings, _) in PAGES.items()
    for encoding in encodings.split()
]


def sentences(language: str, encoding: str) -> list[str]:
    """The sentences, with what the encoding lacks left out."""
    found = PAGES[language][1].split("|")
    return [text.encode(encoding, "ignore").decode(encoding) for text in found]


def decode(data: bytes, declared: str | None = None) -> str | Reason:
    found = decode_document(data, declared, MIN_CONFIDENCE)
    return found.text if isinstance(found, Decoded) else found


# ---- detection


@pytest.mark.parametrize(("language", "encoding"), IN_ENCODINGS)
def test_pages_come_out_right(language: str, encoding: str) -> None:
    page = "\n".join(sentences(language, encoding))
    found = decode_document(page.encode(encoding), None, MIN_CONFIDENCE)
    assert isinstance(found, Decoded)
    assert found.text == page
    stream = stream_encoding(page.encode(encoding), True, None, MIN_CONFIDENCE)
    assert stream == found.encoding


def test_short_texts_come_out_right_or_not_at_all() -> None:
    results: dict[int, list[bool]] = {1: [], 2: [], 3: []}
    for language, encoding in IN_ENCODINGS:
        for number, known in results.items():
            for start in range(5 - number + 1):
                text = " ".join(sentences(language, encoding)[start : start + number])
                found = decode(text.encode(encoding))
                assert found == text or isinstance(found, Reason), (language, encoding, text)
                known.append(found == text)
    rates = {number: sum(known) / len(known) for number, known in results.items()}
    assert rates[1] > 0.93
    assert rates[2] > 0.99
    assert rates[3] == 1


@pytest.mark.parametrize("encoding", ["cp1252", "koi8_r", "gb18030", "cp932"])
def test_cut_heads_of_streams_are_recognised(encoding: str) -> None:
    language = next(name for name, (names, _) in PAGES.items() if encoding in names.split())
    data = "\n".join(sentences(language, encoding)).encode(encoding)
    whole = stream_encoding(data, True, None, MIN_CONFIDENCE)
    assert isinstance(whole, str)
    for cut_bytes in (1, 2, 3):
        assert stream_encoding(data[:-cut_bytes], False, None, MIN_CONFIDENCE) == whole


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"It\x92s late, and we\x92ve walked far.", "It’s late, and we’ve walked far."),
        (b"\x93Not yet,\x94 she said \x96 and waited\x85", "“Not yet,” she said – and waited…"),
        (
            b"a hard\xa0space among plain words, and\xa0more",
            "a hard\xa0space among plain words, and\xa0more",
        ),
        (b"the caf\xe9 and its fa\xe7ade, a clich\xe9", "the café and its façade, a cliché"),
        (b"tickets cost \xa33,000 this year", "tickets cost £3,000 this year"),
    ],
)
def test_typographic_signs_among_ascii_are_sure(data: bytes, text: str) -> None:
    assert decode(data) == text


@pytest.mark.parametrize("byte", [0x80, 0x81, 0x8D, 0xD0, 0xFF])
@pytest.mark.parametrize("count", [1, 2, 20, 200])
def test_stray_bytes_in_ascii_are_refused(byte: int, count: int) -> None:
    line = b"plain words as they stand in any " + bytes([byte]) + b" letter, page after page\n"
    assert isinstance(decode(line * count), Reason)
    if count <= 2:
        assert decode(line * count) is Reason.INVALID_UTF8
        assert stream_encoding(line * count, True, None, MIN_CONFIDENCE) == "utf-8"


@pytest.mark.parametrize(
    "data",
    [
        b"\xe0\xe1\xe2\xe3\xe4",
        b"\xfe\xfd\xfc\xfb\xfa\xf9",
        b"\xa4" * 5000,
        bytes(range(128, 256)) * 40,
        random.Random(0).randbytes(5000),
        random.Random(0).randbytes(5000).replace(b"\0", b""),
        bytes(value & 0x7F for value in random.Random(0).randbytes(500)),
    ],
)
def test_what_is_no_text_is_refused(data: bytes) -> None:
    assert decode(data) is Reason.UNKNOWN_ENCODING


def test_confidence_is_asked_for() -> None:
    data = "un été à la plage".encode("cp1252")
    assert decode_document(data, None, 0.1) == Decoded("un été à la plage", "cp1252")
    assert decode_document(data, None, 1.0) is Reason.UNKNOWN_ENCODING


def test_encodings_of_ibm_s_mainframes_are_refused() -> None:
    assert isinstance(decode(PAGES["German"][1].encode("cp273")), Reason)


# ---- UTF-8


def test_utf8_that_is_cut_or_damaged_is_named_so() -> None:
    page = PAGES["Russian"][1].encode("utf-8")
    assert decode(page[:-2]) is Reason.INVALID_UTF8 or page[-2] < 128
    assert decode("Текст обрывается на слоге та".encode()[:-1]) is Reason.INVALID_UTF8
    assert decode(page[:100] + b"\xff" + page[100:]) is Reason.INVALID_UTF8
    assert decode("déjà vu, déjà lu".encode() + b"\xff") is Reason.INVALID_UTF8
    assert decode(codecs.BOM_UTF8 + b"caf\xe9") is Reason.INVALID_UTF8
    assert stream_encoding(page[:100] + b"\xff" + page[100:], True, None, 0.95) == "utf-8"
    assert stream_encoding(page[:101], False, None, 0.95) == "utf-8"


def test_valid_utf8_wins_over_what_is_declared() -> None:
    assert decode("déjà vu".encode(), "iso-8859-1") == "déjà vu"


def test_nul_bytes_are_no_text() -> None:
    assert decode(b"some\0text") is Reason.UNKNOWN_ENCODING
    assert decode(b"some\0text", "iso-8859-1") is Reason.UNKNOWN_ENCODING
    assert stream_encoding(b"\0\1\2\3" * 100, True, None, 0.95) is Reason.UNKNOWN_ENCODING


# ---- UTF-16 and UTF-32


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("language", ["German", "Russian", "Korean"])
def test_wide_encodings_need_no_mark(encoding: str, language: str) -> None:
    page = "\n".join(PAGES[language][1].split("|"))
    data = page.encode(encoding)
    assert decode_document(data, None, 1.0) == Decoded(page, encoding)
    assert stream_encoding(data[:41], False, None, 1.0) == encoding


def test_wide_encodings_without_evidence_are_refused_or_declared() -> None:
    data = PAGES["Chinese"][1].replace("|", "").encode("utf-16-le")
    assert isinstance(decode(data), Reason)
    assert decode(data, "utf-16") == data.decode("utf-16-le")
    numbers = b"".join(n.to_bytes(2, "little") for n in range(1, 255)) * 10
    assert decode(numbers) is Reason.UNKNOWN_ENCODING
    late_nul = ("plain words " * 2000 + "\0").encode("utf-16-le")
    assert decode(late_nul) is Reason.UNKNOWN_ENCODING


def test_wrong_marks_are_refused() -> None:
    assert decode(codecs.BOM_UTF16_LE + b"odd") is Reason.INVALID_ENCODING
    assert decode(codecs.BOM_UTF32_BE + b"\xff" * 8) is Reason.INVALID_ENCODING


# ---- declared charsets


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        (b'<?xml version="1.0" encoding="ISO-8859-2"?><a/>', "iso8859-2"),
        (b"\xef\xbb\xbf <?xml version='1.0' encoding='koi8-r' ?>", "koi8-r"),
        (b"<html><head><META CharSet=gb2312>", "gb18030"),
        (b'<meta http-equiv=Content-Type content="text/html; charset=Shift_JIS">', "cp932"),
        (b'<meta name=x content="y"><meta charset="iso-8859-1">', "cp1252"),
        (b"<meta charset='euc-kr'>", "cp949"),
        (b"<meta charset=x-sjis>", "cp932"),
        (b"<meta charset=latin1>", "cp1252"),
        (b"<meta charset=windows-1251>", "cp1251"),
        (b"<meta charset=iso-8859-8-i>", "iso8859-8"),
        (b"<meta charset=Big5>", "cp950"),
        (b"<meta charset=utf-16>", "utf-8"),
        (b"<!-- <meta charset=koi8-r> --><meta charset=utf-8>", "utf-8"),
        (b"<!-- <meta charset=koi8-r>", None),
        (b"<meta charset=rot13>", None),
        (b"<meta charset=base64>", None),
        (b"<meta charset=idna>", None),
        (b"<meta charset=utf-7>", None),
        (b"<meta charset=nonsense>", None),
        (b"charset=utf-8", None),
        (b" " * 4096 + b"<meta charset=utf-8>", None),
        (b"", None),
    ],
)
def test_declared_charsets(head: bytes, codec: str | None) -> None:
    assert declared_charset(head) == codec


def test_declared_charsets_count_where_bytes_fit_them() -> None:
    short = "Łódź".encode("iso8859-2")
    assert isinstance(decode(short), Reason)
    assert decode(short, "ISO-8859-2") == "Łódź"
    assert decode(short, "no such charset") == decode(short)
    assert decode(b"\xfa\xff\xfe" * 9, "shift_jis") is Reason.INVALID_ENCODING
    assert decode("Üben, für, öde".encode("cp1252"), "utf-8") is Reason.INVALID_ENCODING
    assert stream_encoding(short, True, "iso-8859-2", 0.95) == "iso8859-2"
    assert stream_encoding(b"id,text\n1,", False, "iso-8859-2", 0.95) == "iso8859-2"
    assert stream_encoding(b"\xfa\xff\xfe" * 9, True, "cp932", 0.95) is Reason.INVALID_ENCODING


# ---- streams


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    start = 0
    for size in sizes:
        yield data[start : start + size]
        start += size
    yield data[start:]


SIZES = st.lists(st.integers(0, 9), max_size=30)


@given(st.text(st.characters(codec="utf-8")), SIZES)
@example("\ufeff", [1, 1])
@example("a", [])
def test_recoding_does_not_depend_on_cuts(text: str, sizes: list[int]) -> None:
    expected = text.removeprefix("\ufeff").encode("utf-8")
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "gb18030"):
        pieces = list(to_utf8(cut(text.encode(encoding), sizes), encoding))
        assert b"".join(pieces) == expected
        assert all(pieces)


@given(
    st.binary(max_size=60),
    SIZES,
    st.sampled_from(["cp1252", "cp932", "gb18030", "euc_jp", "utf-16-le"]),
)
def test_bad_bytes_are_marked_wherever_the_cuts_are(
    data: bytes, sizes: list[int], encoding: str
) -> None:
    recoded = b"".join(to_utf8(cut(data, sizes), encoding))
    assert recoded == b"".join(to_utf8([data], encoding))
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        assert b"\xff" in recoded
    else:
        assert recoded == text.removeprefix("\ufeff").encode("utf-8")


def test_records_around_bad_bytes_stay_whole() -> None:
    data = "первая\nвто\x98рая\nтретья\n".encode("cp1251", "replace").replace(b"?", b"\x98")
    lines = b"".join(to_utf8([data], "cp1251")).split(b"\n")
    assert lines[0].decode() == "первая"
    assert lines[1] == "вто".encode() + b"\xff" + "рая".encode()
    assert lines[2].decode() == "третья"


def test_utf8_streams_pass_untouched() -> None:
    pieces = [b"\xef", b"\xbb", b"\xbfcaf\xc3", b"\xa9 \xff", b"", b"end"]
    assert list(to_utf8(pieces, "utf-8")) == [b"caf\xc3", b"\xa9 \xff", b"end"]
    assert list(to_utf8([b"\xef\xbb"], "utf-8")) == [b"\xef\xbb"]


def test_recoded_pieces_are_bounded() -> None:
    pieces = list(to_utf8([b"\xe9" * 3_000_000], "cp1252"))
    assert b"".join(pieces) == "é".encode() * 3_000_000
    assert max(map(len, pieces)) <= 3 * 2**20


# ---- any bytes, any text


@given(st.text(st.characters(codec="utf-8")))
@example("\ufeff\ufeff")
def test_marked_text_comes_back(text: str) -> None:
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ):
        assert decode_document(mark + text.encode(encoding), None, 1.0) == Decoded(text, encoding)
    if not text.startswith("\0"):  # which would read as the mark of UTF-32
        data = codecs.BOM_UTF16_LE + text.encode("utf-16-le")
        assert decode_document(data, None, 1.0) == Decoded(text, "utf-16-le")


MARKS = st.sampled_from(
    [b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\0\0", b"\0\0\xfe\xff", b"\x1b$B"]
)
LABELS = st.sampled_from([None, "utf-8", "utf-16", "cp1252", "iso-2022-jp", "hz", "\0", "é", ""])


@settings(max_examples=300)
@given(MARKS, st.binary(max_size=300), LABELS, st.booleans())
def test_no_bytes_raise_or_come_out_as_binary(
    mark: bytes, data: bytes, label: str | None, is_all: bool
) -> None:
    data = mark + data
    found = decode_document(data, label, MIN_CONFIDENCE)
    if isinstance(found, Decoded):
        assert data.decode(found.encoding).removeprefix("\ufeff") == found.text
        assert "\0" not in found.text or mark or label == "utf-16"
    encoding = stream_encoding(data, is_all, label, MIN_CONFIDENCE)
    if not isinstance(encoding, Reason):
        assert isinstance(b"".join(to_utf8([data], encoding)), bytes)
    declared_charset(data)


# ---- time


@pytest.mark.parametrize(
    "data",
    [
        PAGES["Russian"][1].encode("koi8_r") * 40_000,
        PAGES["Japanese"][1].encode("shift_jis").replace(b"|", b"") * 40_000,
        b"a" * 2**24 + b"\xff",
        b"\x93" * 2**24,
        b"<meta " * 2**21 + b"\xff",
        bytes(range(1, 256)) * 2**16,
    ],
)
def test_long_documents_take_bounded_time(data: bytes) -> None:
    data = data[: 2**24]
    start = time.perf_counter()
    decode_document(data, None, MIN_CONFIDENCE)
    stream_encoding(data[: 2**16], False, None, MIN_CONFIDENCE)
    declared_charset(data)
    assert time.perf_counter() - start < 4  # a few tenths of a second on a quiet machine


# ---- mojibake


@pytest.mark.parametrize("language", PAGES)
def test_mojibake_is_mended_and_good_text_left_alone(language: str) -> None:
    page = PAGES[language][1].replace("|", "\n")
    assert mend_mojibake(page) == page
    broken = page.encode("utf-8").decode("latin-1")
    assert mend_mojibake(broken) == page


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("the cafÃ© was \u2018shut\u2019", "the café was \u2018shut\u2019"),
        ("he saidâ€¦ nothing", "he said… nothing"),
        ("â€œlike thisâ€�", "“like this�"),
        ("it\x92s over", "it’s over"),
        ("&amp; ﬁne “quotes” ｆｕｌｌ\r\nnew\u2028line", None),
        ("cafÃ©\r\nplain &lt; ﬁ", "café\r\nplain &lt; ﬁ"),
        ("plain \x00 ascii", None),
        ("", None),
    ],
)
def test_only_mojibake_is_mended(text: str, mended: str | None) -> None:
    assert mend_mojibake(text) == (text if mended is None else mended)


# ---- real files


def known(text: str) -> str:
    """Without blanks, which the copies set differently."""
    return "".join(text.split())


@pytest.mark.parametrize(
    ("name", "encoding", "same"),
    [
        ("Greek_Ellinika-Greek", "cp1253", "Greek_Ellinika-UTF8"),
        ("Russian-Cyrillic", "cp1251", "Russian-UTF8"),
        ("Japanese_Nihongo-EUC", "euc_jp", "Japanese_Nihongo-UTF8"),
        ("Japanese_Nihongo-SJIS", "cp932", "Japanese_Nihongo-UTF8"),
        ("Chinese_Mandarin-GB2312", "gb18030", "utf8/cmn_hans.txt"),
    ],
)
def test_declarations_read_as_their_copies_in_utf8(name: str, encoding: str, same: str) -> None:
    found = decode_document((shared_data(UDHR) / name).read_bytes(), None, MIN_CONFIDENCE)
    assert isinstance(found, Decoded)
    assert found.encoding == encoding
    copy = (shared_data(UDHR) / same).read_bytes().decode("utf-8-sig", "ignore")
    assert known(found.text)[:1000] == known(copy)[:1000]


@pytest.mark.parametrize(
    ("name", "encoding", "words"),
    [
        ("French_Francais-Latin1", "cp1252", "Déclaration Préambule Considérant égaux fraternité"),
        ("Turkish_Turkce-Turkish", "cp1254", "İnsan hakları Önsöz bütün üyelerinde hürriyet"),
        ("Hebrew_Ivrit-Hebrew", "cp1255", "לכל באי עולם בדבר זכויות האדם"),
        ("English-Latin1", "utf-8", "Universal Declaration Preamble"),
    ],
)
def test_declarations_have_their_words(name: str, encoding: str, words: str) -> None:
    found = decode_document((shared_data(UDHR) / name).read_bytes(), None, MIN_CONFIDENCE)
    assert isinstance(found, Decoded)
    assert found.encoding == encoding
    assert all(word in found.text for word in words.split())


def test_declarations_in_utf8_come_out_but_for_the_one_that_is_cut() -> None:
    paths = [*shared_data(UDHR).glob("*UTF8"), *(shared_data(UDHR) / "utf8").glob("*.txt")]
    refused = {
        path.name: found for path in paths if isinstance(found := decode(path.read_bytes()), Reason)
    }
    assert len(paths) == 14
    assert refused == {"Chinese_Mandarin-UTF8": Reason.INVALID_UTF8}


def test_speeches_come_out_all() -> None:
    texts = {}
    with tarfile.open(shared_data(INAUGURAL) / "inaugural.tar.gz") as archive:
        for member in archive:
            if file := archive.extractfile(member) if member.isfile() else None:
                texts[member.name] = decode(file.read())
    assert len(texts) == 59
    assert not [name for name, text in texts.items() if isinstance(text, Reason)]
    # Its dashes and quotes are those of Big5.
    assert "years of sabbatical—and then there came a day of fire" in str(
        texts["inaugural/2005-Bush.txt"]
    )


def test_news_come_out_with_their_pounds() -> None:
    assert "his £3,000 satelite" in str(decode((shared_data(LEE) / "lee.cor").read_bytes()))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"text\n" + b"\xff\n" * 9, "utf-8"),  # nine bad lines do not take a good one with them
        ("f\u00fcnf\n".encode() + b"\xff\n", "utf-8"),
        (b"one\n" + bytes(200) + b"\n", "utf-8"),
        (b"\xc0\xc8\xcc\xd2\xd9\n" * 2, Reason.UNKNOWN_ENCODING),
        (bytes(400), Reason.UNKNOWN_ENCODING),
    ],
)
def test_a_bad_line_does_not_decide_for_the_others(head: bytes, expected: str | Reason) -> None:
    assert lines_encoding(head, True, None, MIN_CONFIDENCE) == expected
